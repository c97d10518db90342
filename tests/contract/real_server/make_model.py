"""Writes a tiny llama model with random weights: it says nonsense, but a real server loads and runs it.

Runs inside the server's own environment (package `gguf`): python make_model.py FILE
"""

import sys

import gguf
import numpy as np

WIDTH, LAYERS, HEADS, INNER, CONTEXT = 64, 2, 4, 128, 2048
SPECIAL = ["<unk>", "<s>", "</s>"]
TOKENS = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), "▁"]
PRINTABLE = range(len(SPECIAL) + 0x20, len(SPECIAL) + 0x7F)
"""Tokens it prefers: the server's streams lose characters of several bytes."""
KINDS = [
    gguf.TokenType.UNKNOWN,
    *[gguf.TokenType.CONTROL] * 2,
    *[gguf.TokenType.BYTE] * 256,
    gguf.TokenType.NORMAL,
]


def write(path: str) -> None:
    """The file: byte tokens, so that any text is possible, and weights from one seed."""
    file = gguf.GGUFWriter(path, "llama")
    file.add_context_length(CONTEXT)
    file.add_embedding_length(WIDTH)
    file.add_block_count(LAYERS)
    file.add_feed_forward_length(INNER)
    file.add_head_count(HEADS)
    file.add_head_count_kv(HEADS)
    file.add_layer_norm_rms_eps(1e-5)
    file.add_rope_dimension_count(WIDTH // HEADS)
    file.add_tokenizer_model("llama")
    file.add_token_list(TOKENS)
    file.add_token_scores([0.0] * len(TOKENS))
    file.add_token_types(KINDS)
    file.add_bos_token_id(1)
    file.add_eos_token_id(2)
    file.add_unk_token_id(0)
    for name, shape in tensors():
        file.add_tensor(name, weights(name, shape))
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()


def tensors():
    """Name and shape of each."""
    yield "token_embd.weight", (len(TOKENS), WIDTH)
    for layer in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield f"blk.{layer}.{name}.weight", (WIDTH, WIDTH)
        yield f"blk.{layer}.ffn_gate.weight", (INNER, WIDTH)
        yield f"blk.{layer}.ffn_up.weight", (INNER, WIDTH)
        yield f"blk.{layer}.ffn_down.weight", (WIDTH, INNER)
        yield f"blk.{layer}.attn_norm.weight", (WIDTH,)
        yield f"blk.{layer}.ffn_norm.weight", (WIDTH,)
    yield "output_norm.weight", (WIDTH,)
    yield "output.weight", (len(TOKENS), WIDTH)


_random = np.random.default_rng(7)


def weights(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Random, but for the norms."""
    if name.endswith("norm.weight"):
        return np.ones(shape, dtype=np.float32)
    made = _random.normal(0, 0.3, shape).astype(np.float32)
    if name == "output.weight":
        made[[token for token in range(len(TOKENS)) if token not in PRINTABLE]] = 0
    return made


if __name__ == "__main__":
    write(sys.argv[1])
