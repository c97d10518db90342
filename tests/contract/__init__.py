"""The outermost tests: they import nothing of ours and drive a running gateway with the vendors' own SDKs.

HERMOD_TEST_URL        a gateway that already runs; without it, `hermod up` is started with the built-in simulator
HERMOD_TEST_SIMULATOR  its simulator, for the tests that look at what reached the provider
"""
