"""The risks of such a gateway, each with the tests that would fail if it were open; or why it is not one here."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One risk. `open` says what of it no test covers yet, empty for nothing."""

    number: int
    risk: str
    answer: str
    tests: tuple[str, ...]
    open: str = ""


_ROUTES = "tests/security/test_routes.py"
_UPSTREAM = "tests/security/test_upstream.py"
_POLICY = "tests/security/test_policy.py"
_HTTP = "tests/security/test_http.py"
_BOMBS = "tests/security/test_bombs.py"
_SLOW = "tests/security/test_slow.py"
_BROWSERS = "tests/security/test_browsers.py"
_EVERYONE = f"{_ROUTES}::test_a_route_answers_everyone_as_the_table_says"
_TABLE = f"{_ROUTES}::test_the_table_names_every_route_and_no_other"
_QUIET = "tests/integration/test_nothing_private_is_told.py::test_nothing_private_is_in_a_log_line_a_metric_or_a_trace"

ROWS = (
    Row(
        1,
        "SSRF through a provider's base_url",
        "Addresses come from the configuration alone; no route changes it, no field of a body names one.",
        (
            _TABLE,
            _EVERYONE,
            f"{_UPSTREAM}::test_a_body_cannot_say_where_or_as_whom_to_call",
            f"{_UPSTREAM}::test_a_header_cannot_say_where_to_call",
        ),
    ),
    Row(
        2,
        "SSRF through URLs of images, documents and files",
        "Each name is looked up once, its addresses are checked against IANA's ranges, and the one that was checked is "
        "connected to; each redirect again.",
        (
            "tests/unit/test_guard.py::test_of_the_special_ranges_only_the_globally_reachable_are_public",
            "tests/unit/test_guard.py::test_a_name_is_refused_when_one_of_its_addresses_is_not_public",
            "tests/unit/test_fetcher.py::test_a_name_is_connected_to_at_the_address_that_was_checked",
            "tests/unit/test_fetcher.py::test_a_name_that_changes_its_address_is_looked_up_once_and_refused_the_next_time",
            "tests/unit/test_fetcher.py::test_a_redirect_is_checked_as_the_first_url_is",
            f"{_UPSTREAM}::test_the_url_of_a_document_leads_a_worker_to_nothing_private",
        ),
    ),
    Row(
        3,
        "SSRF through webhooks",
        "The same guard at every try, https only, no redirects; in Kubernetes a NetworkPolicy besides.",
        (
            "tests/integration/test_webhooks.py::test_nothing_private_is_reached_unless_the_endpoint_may",
            "tests/integration/test_webhooks.py::test_a_redirect_is_not_followed",
            "tests/deploy/test_manifests.py::test_a_worker_reaches_the_world_by_https_but_neither_the_cluster_nor_its_metadata",
        ),
    ),
    Row(
        4,
        "A provider's key sent elsewhere",
        "A key goes to its own address only; no redirect is followed; what a client sends as a key never travels.",
        (
            "tests/unit/test_keys_bound.py::test_keys_of_one_provider_go_each_to_its_own_endpoint",
            "tests/unit/test_keys_bound.py::test_a_redirect_is_never_followed",
            f"{_UPSTREAM}::test_no_header_of_the_client_travels_but_those_that_are_meant_to",
            "tests/integration/test_isolation.py::test_the_api_process_holds_no_provider_key_and_opens_no_connection_but_to_redis",
        ),
    ),
    Row(
        5,
        "Keys in logs and traces",
        "A log line holds known fields only, and what looks like a key is masked on its way.",
        (
            _QUIET,
            "tests/unit/test_settings.py::test_what_looks_like_a_key_never_reaches_a_log_line",
            "tests/contract/test_errors.py::test_neither_prompts_nor_keys_reach_the_log_and_keys_reach_no_file",
        ),
    ),
    Row(
        6,
        "The client's key sent to a results_url",
        "Links are built from `public_url`, or root-relative; no header of the request is looked at.",
        (
            f"{_HTTP}::test_a_hostile_host_is_in_no_link",
            "tests/unit/test_batch_views.py::test_results_have_a_url_once_there_are_results_and_never_anothers",
        ),
    ),
    Row(
        7,
        "One tenant reads, lists or cancels another's jobs, files and batches",
        "Every thing has an owner, every look-up names one, and what is another's is a 404 like what is not there.",
        (
            _EVERYONE,
            _TABLE,
            f"{_ROUTES}::test_the_lists_of_one_tenant_show_nothing_of_another",
            "tests/integration/test_jobs_surface.py::test_anothers_job_is_not_found_in_the_words_of_an_unknown_one",
            "tests/integration/test_answer_cache.py::test_nobody_can_put_an_answer_into_anothers_cache",
        ),
    ),
    Row(
        8,
        "Lines of a batch go round the rules",
        "Each line is checked when it comes in and again when it runs.",
        (
            "tests/integration/test_governance.py::test_each_line_of_a_batch_is_checked_when_it_runs",
            "tests/integration/test_governance.py::test_a_limited_key_cannot_have_a_batch_run_where_nobody_checks_its_lines",
            "tests/integration/test_governance.py::test_a_key_that_is_revoked_in_the_middle_of_a_batch_runs_no_more_of_it",
            "tests/integration/test_batches_refused.py::test_a_bad_file_is_a_400_that_names_line_and_field_and_is_kept_to_be_looked_at",
        ),
    ),
    Row(
        9,
        "Holes in who is let in",
        "Keys are looked up by their whole SHA-256 and compared in constant time; a route that is not in the table of "
        "routes fails the tests; nothing changes the configuration at run time.",
        (
            _TABLE,
            _EVERYONE,
            f"{_ROUTES}::test_a_key_is_worth_the_same_in_every_header_it_may_come_in",
            f"{_ROUTES}::test_a_good_key_does_not_carry_a_bad_one",
            f"{_ROUTES}::test_what_is_not_served_is_not_there",
            "tests/integration/test_governance.py::test_a_key_is_shown_once_and_kept_as_a_hash",
            "tests/integration/test_governance.py::test_changes_of_a_key_at_once_all_hold_so_that_none_undoes_a_revocation",
            "tests/integration/test_keyring.py::test_what_was_read_before_a_revocation_is_not_put_in_place_after_it",
        ),
    ),
    Row(
        10,
        "A pickle in Redis is code in a worker",
        "Records are msgpack against a schema; nothing in the source unpickles.",
        (
            "tests/integration/test_queue.py::test_a_pickled_payload_is_refused_and_never_loaded",
            "tests/integration/test_arq_writes.py::test_a_call_that_arq_enqueues_is_run_and_its_result_kept_without_a_pickle",
            "tests/integration/test_arq_writes.py::test_neither_client_nor_worker_of_arq_falls_back_to_pickle",
            f"{_POLICY}::test_no_code_is_loaded_by_a_name_that_is_data_and_nothing_is_unpickled",
        ),
    ),
    Row(
        11,
        "Jobs and results forged in a shared Redis",
        "A write needs the fence of a live lease; with `encryption.keys` what lies sealed in Redis and in the object "
        "store cannot be forged, or swapped for another's.",
        (
            "tests/security/test_sealed.py::test_whatever_is_changed_cut_or_swapped_is_refused",
            "tests/integration/test_sealing.py::test_answers_and_pieces_in_each_others_place_are_refused",
            "tests/integration/test_sealing.py::test_a_job_with_a_flipped_bit_fails_with_the_reason",
            "tests/integration/test_sealing.py::test_who_makes_a_running_job_its_own_reads_nothing_of_it",
            "tests/integration/test_shards.py::test_a_shard_whose_lease_runs_out_goes_on_elsewhere_with_what_was_not_finished",
        ),
        open="Whoever may write to Redis may change what lies in the clear: owners, states, budgets, hashes of keys.",
    ),
    Row(
        12,
        "Smuggled requests, forged identities",
        "One front server with a strict parser, its own limits, and an allow-list of headers towards providers.",
        (
            f"{_HTTP}::test_what_could_be_read_in_two_ways_is_a_400_and_what_follows_it_is_not_read",
            f"{_HTTP}::test_a_body_is_never_taken_for_the_next_request",
            f"{_HTTP}::test_no_way_of_writing_a_path_leads_past_the_guards",
            f"{_UPSTREAM}::test_a_header_that_never_travels_cannot_be_forced_to",
            "tests/unit/test_transport.py::test_a_header_that_would_smuggle_another_is_not_sent",
        ),
    ),
    Row(
        13,
        "Bombs of zip and JSON, deep nesting, huge numbers",
        "Nothing that is encoded is read; JSON has bounds of depth, count and digits, and beyond them is a 400, of a "
        "batch's item its own error; files of lines are read as they come.",
        (
            f"{_BOMBS}::test_an_encoded_body_is_a_415_that_says_so",
            f"{_BOMBS}::test_depth_never_takes_a_process_down",
            f"{_BOMBS}::test_a_deep_item_of_a_batch_is_its_own_error",
            f"{_BOMBS}::test_what_is_too_deep_or_too_long_a_number_says_so_on_every_surface",
            "tests/unit/test_json_bounds.py::test_depth_is_what_a_decoder_finds",
            f"{_BOMBS}::test_numbers_beyond_all_measure_are_no_failure",
            f"{_BOMBS}::test_large_bodies_hold_nobody_up_for_long",
            "tests/unit/test_batching.py::test_a_file_may_have_so_many_lines_and_no_more",
        ),
    ),
    Row(
        14,
        "Forms without end, slow clients",
        "Parts, their headers and fields are counted; heads and bodies that trickle are cut.",
        (
            f"{_BOMBS}::test_a_form_made_to_be_dear_is_a_400",
            f"{_BOMBS}::test_the_name_of_a_file_is_no_path",
            f"{_SLOW}::test_who_trickles_is_cut",
            f"{_SLOW}::test_a_crowd_of_slow_clients_holds_nobody_up",
            f"{_HTTP}::test_headers_over_the_limit_are_a_431",
        ),
    ),
    Row(
        15,
        "Guessed object keys, shared links to objects",
        "Does not apply to links: none is signed, every byte goes through the gateway. Keys are random ids.",
        (_EVERYONE, "tests/conformance/test_blobs.py::test_a_malformed_key_is_refused_everywhere"),
    ),
    Row(
        16,
        "Bodies readable at rest",
        "`encryption.keys` puts what callers send and get under AES-256-GCM: in Redis with a key for each owner, in "
        "the object store with one for each write. A lost key fails closed. The README lists what stays in the clear.",
        (
            "tests/security/test_sealed_redis.py::test_nothing_that_callers_send_or_get_lies_readable_in_redis_or_beside_it",
            "tests/unit/test_envelopes.py::test_whatever_is_changed_or_cut_is_refused",
            "tests/unit/test_envelopes.py::test_each_owner_has_a_key_of_its_own",
            "tests/integration/test_sealing.py::test_answers_and_pieces_in_each_others_place_are_refused",
            "tests/security/test_sealed.py::test_nothing_that_callers_send_lies_readable_in_the_object_store",
            "tests/security/test_sealed.py::test_whatever_is_changed_cut_or_swapped_is_refused",
            "tests/security/test_sealed.py::test_old_keys_open_until_they_are_no_longer_listed",
            "tests/conformance/test_blobs.py::test_files_and_folders_are_the_owners_alone",
        ),
        open="Digests of requests lie in Redis in the clear, and what else the README lists.",
    ),
    Row(
        17,
        "Injection into logs and pages",
        "Logs are JSON; pages escape all they are given, under a CSP that runs no inline script.",
        (
            "tests/console/test_pages.py::test_what_callers_name_stays_text",
            "tests/integration/test_console_door.py::test_signing_in_leads_nowhere_else",
            f"{_BOMBS}::test_the_name_of_a_file_is_no_path",
        ),
    ),
    Row(
        18,
        "Commands and plug-ins",
        "There are none: no name from a configuration or a request is ever imported or run.",
        (
            f"{_POLICY}::test_no_code_is_loaded_by_a_name_that_is_data_and_nothing_is_unpickled",
            f"{_POLICY}::test_only_the_keeper_of_the_children_starts_processes",
            f"{_POLICY}::test_pages_are_made_of_the_packages_own_templates_each_named_in_the_source",
            f"{_POLICY}::test_every_way_to_start_or_load_something_would_be_found",
        ),
    ),
    Row(
        19,
        "A poisoned dependency",
        "Each file of the lock has its SHA-256, from one registry; the image checks them, runs as nobody.",
        (
            f"{_POLICY}::test_every_package_of_the_lock_file_has_a_hash_for_every_file",
            f"{_POLICY}::test_no_dependency_is_installed_from_anywhere_but_the_registry",
            "tests/deploy/test_image.py::test_whatever_is_installed_has_its_hash_checked",
            "tests/deploy/test_image.py::test_nothing_else_is_fetched_on_the_way",
            "tests/deploy/test_image.py::test_it_runs_as_a_user_without_rights_on_a_root_that_cannot_be_written",
            "tests/deploy/test_manifests.py::test_every_pod_is_what_the_restricted_standard_asks_for_and_more",
        ),
    ),
    Row(
        20,
        "Denial of wallet, noisy neighbours",
        "Costs are held before a call and settled after it; lines, running jobs and rates are bounded for each key.",
        (
            "tests/integration/test_governance.py::test_a_spent_budget_is_a_402_and_a_queued_job_fails_with_it",
            "tests/integration/test_governance.py::test_every_budget_of_the_chain_must_have_room",
            "tests/integration/test_governance.py::test_a_budget_that_all_providers_share_is_not_escaped_by_a_fallback",
            "tests/integration/test_governance.py::test_books_balance_and_overshoot_is_bounded_while_workers_are_killed",
            "tests/integration/test_governance.py::test_a_budget_that_others_share_cannot_be_deleted_from_under_them",
            "tests/unit/test_headers.py::test_without_a_key_no_page_of_another_site_makes_a_browser_call",
            "tests/integration/test_governance.py::test_a_request_is_counted_once_however_often_it_is_tried_and_whoever_dies_of_it",
        ),
    ),
    Row(
        21,
        "Webhooks replayed or forged",
        "Standard Webhooks: a stable id, a fresh time and a signature at each try, two secrets while one is replaced.",
        (
            "tests/integration/test_webhooks.py::test_the_end_of_a_job_is_told_in_words_that_all_three_libraries_read",
            "tests/integration/test_webhooks.py::test_while_two_secrets_live_each_of_them_verifies_and_no_other",
            "tests/integration/test_webhooks.py::test_a_secret_that_is_made_has_32_random_bytes",
        ),
    ),
    Row(
        22,
        "Guessing by time or by number",
        "Random ids of 122 bits, one 404 for all that is not the caller's, wrong passwords are throttled.",
        (
            "tests/contract/test_errors.py::test_jobs_that_are_unknown_anothers_or_of_another_dialect_look_alike",
            "tests/integration/test_console_door.py::test_after_some_wrong_passwords_even_the_right_one_has_to_wait",
            "tests/security/test_rows.py::test_ids_cannot_be_guessed",
        ),
    ),
    Row(
        23,
        "Metrics in the open",
        "On their own port, or behind the administration's door; no label names a tenant or a prompt.",
        (
            _EVERYONE,
            "tests/unit/test_metrics.py::test_no_label_names_who_asks_or_what",
            "tests/deploy/test_manifests.py::test_clients_reach_the_apis_port_and_only_prometheus_the_ports_of_metrics",
            f"{_BROWSERS}::test_no_page_of_another_site_reads_the_administration",
        ),
    ),
    Row(
        24,
        "Prompts in costs and errors",
        "A provider's message is passed to who asked, credentials masked; logs and metrics have none of it.",
        (
            _QUIET,
            "tests/integration/test_nothing_private_is_told.py::test_no_client_hears_a_key_and_no_record_keeps_one",
            "tests/unit/test_keys_bound.py::test_a_provider_that_quotes_its_key_back_does_not_tell_it",
        ),
    ),
)
