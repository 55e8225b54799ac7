"""Which file of a repository is meant, and which are never fetched."""

from __future__ import annotations

import pytest

from shammah.errors import BaseModelError, NotFound, UsageError
from shammah.hub.reference import (
    Found,
    HubFile,
    Reference,
    choose_gguf,
    choose_weights,
    parse,
    parse_repository,
)


def files(*names: str) -> list[HubFile]:
    return [HubFile(name, 10, None, f"blob of {name}") for name in names]


def chosen(text: str, *names: str) -> str:
    return choose_gguf(parse(text), files(*names)).name


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("hf:me/it", Reference("me/it")),
        ("hf:me/it/a.gguf", Reference("me/it", file="a.gguf")),
        ("hf:me/it/sub/a.gguf@v1", Reference("me/it", file="sub/a.gguf", revision="v1")),
        ("hf:me/it:Q8_0", Reference("me/it", quantization="Q8_0")),
        ("hf:me/it:Q4_K_M@refs/pr/1", Reference("me/it", None, "Q4_K_M", "refs/pr/1")),
    ],
)
def test_a_reference_is_taken_apart_and_put_together_again(text: str, meant: Reference) -> None:
    assert parse(text) == meant
    assert str(meant) == text


@pytest.mark.parametrize(
    "text",
    [
        "hf:", "hf:me", "hf:me/", "hf:/it", "hf:me/it/", "hf:me/it:", "hf:me/it@", "hf:me/it/a.bin",
        "hf:me/it/../../x.gguf", "hf:me/it/a.gguf:Q8_0", "hf:../it", "hf:me/it@-x", "me/it",
        "hf:me/it:Q8 0", "hf:me/a b",
    ],
)  # fmt: skip
def test_what_is_no_reference_is_refused_with_the_grammar(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse(text)
    assert "hf:OWNER/NAME" in raised.value.hint


def test_only_a_whole_repository_can_be_pushed_to() -> None:
    assert parse_repository("hf:me/it") == "me/it"
    for text in ("hf:me/it/a.gguf", "hf:me/it@main"):
        with pytest.raises(UsageError):
            parse_repository(text)


def test_the_only_gguf_is_taken_whatever_it_is_called() -> None:
    assert chosen("hf:me/it", "README.md", "odd.gguf", "mmproj-f16.gguf") == "odd.gguf"


def test_of_several_the_finest_preferred_type_is_taken() -> None:
    there = ("m-Q2_K.gguf", "m-Q4_K_M.gguf", "m-Q6_K.gguf", "m-f16.gguf")
    assert chosen("hf:me/it", *there) == "m-Q6_K.gguf"
    assert chosen("hf:me/it", *there, "m-Q8_0.gguf") == "m-Q8_0.gguf"


def test_a_type_chooses_in_any_spelling() -> None:
    assert chosen("hf:me/it:q4_k_m", "m.Q4_K_M.gguf", "m.Q4_K_S.gguf") == "m.Q4_K_M.gguf"
    assert chosen("hf:me/it:q4_0", "m-IQ4_0.gguf", "m-Q4_0.gguf") == "m-Q4_0.gguf"


def test_several_without_a_preferred_type_are_listed() -> None:
    with pytest.raises(UsageError) as raised:
        chosen("hf:me/it", "a-F16.gguf", "b-F16.gguf")
    assert "a-F16.gguf, b-F16.gguf" in raised.value.hint


def test_a_file_or_a_type_that_is_not_there_names_those_that_are() -> None:
    for text in ("hf:me/it/no.gguf", "hf:me/it:Q5_0"):
        with pytest.raises(NotFound) as raised:
            chosen(text, "m-Q8_0.gguf")
        assert "m-Q8_0.gguf" in raised.value.hint


def test_a_gguf_in_parts_is_refused() -> None:
    part = "m-Q8_0-00001-of-00002.gguf"
    for text in ("hf:me/it", f"hf:me/it/{part}"):
        with pytest.raises(BaseModelError, match="parts"):
            chosen(text, part, "m-Q8_0-00002-of-00002.gguf")


def test_a_repository_without_a_gguf_shows_the_way_to_its_weights() -> None:
    with pytest.raises(BaseModelError, match="no GGUF") as raised:
        chosen("hf:me/it", "model.safetensors", "config.json")
    assert "--weights hf:me/it" in raised.value.hint


def test_weights_are_safetensors_configuration_and_tokenizer_and_nothing_else() -> None:
    wanted = [
        "config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
        "model.safetensors.index.json", "tokenizer.json", "tokenizer.model", "merges.txt",
        "chat_template.jinja",
    ]  # fmt: skip
    others = [
        "pytorch_model.bin", "modeling_it.py", "consolidated.safetensors", "onnx/config.json",
        "README.md", "adapter_model.safetensors", "training_args.bin", "x/model.safetensors",
    ]  # fmt: skip
    found = choose_weights(parse("hf:me/it"), files(*wanted, *others))
    assert sorted(file.name for file in found) == sorted(wanted)


def test_pickled_weights_are_no_weights() -> None:
    with pytest.raises(BaseModelError, match="pickled"):
        choose_weights(parse("hf:me/it"), files("config.json", "pytorch_model.bin"))


def test_the_source_of_what_was_found_means_the_same_for_ever() -> None:
    found = Found("me/it", "c" * 40, files("m-Q8_0.gguf"))
    assert found.source == f"hf:me/it/m-Q8_0.gguf@{'c' * 40}"
    assert parse(found.source).revision == "c" * 40
