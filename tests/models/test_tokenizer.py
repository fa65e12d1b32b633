"""Byte-level BPE: nothing is unknown, digits stand alone, the same texts give the same tokenizer, JSON round trip."""

from __future__ import annotations

from pathlib import Path

from tests.models.conftest import TEXTS
from veracast.models.backbones import load_tokenizer
from veracast.models.tokenizer import SOFT_TOKENS, VISION_TOKENS, train_tokenizer


def test_every_script_comes_back_and_digits_are_single_tokens() -> None:
    tokenizer = train_tokenizer(TEXTS)
    for text in ("短视频 🎬 فيديو", "views: 12345", "a\u0301 naïve"):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    pieces = tokenizer.convert_ids_to_tokens(tokenizer("12345")["input_ids"])
    assert pieces == list("12345")


def test_frequent_words_are_merged_and_the_size_is_kept() -> None:
    tokenizer = train_tokenizer(TEXTS, size=280)
    assert len(tokenizer) == 280
    assert len(tokenizer("views")["input_ids"]) < 5


def test_the_same_texts_give_the_same_tokenizer_and_it_round_trips(tmp_path: Path) -> None:
    a, b = train_tokenizer(TEXTS), train_tokenizer(list(TEXTS))
    assert a.get_vocab() == b.get_vocab()
    a.save_pretrained(tmp_path)
    again = load_tokenizer(tmp_path)
    assert again("a cat <|graph_pad|> 7")["input_ids"] == a("a cat <|graph_pad|> 7")["input_ids"]
    assert again.chat_template == a.chat_template and again.eos_token == "<|im_end|>"


def test_special_tokens_have_one_id_each() -> None:
    tokenizer = train_tokenizer(TEXTS, more=VISION_TOKENS)
    ids = [tokenizer(token)["input_ids"] for token in (*SOFT_TOKENS, *VISION_TOKENS, "<|im_start|>", "<|im_end|>")]
    assert all(len(one) == 1 for one in ids) and len({one[0] for one in ids}) == len(ids)
