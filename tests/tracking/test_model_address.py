"""One grammar for the names of model versions."""

import pytest

from tracking.model_address import ModelAddress, ModelAddressError, is_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("3", ModelAddress("student", version=3)),
        ("champion", ModelAddress("student", "champion")),
        ("teacher@champion", ModelAddress("teacher", "champion")),
        ("teacher@3", ModelAddress("teacher", "3")),
        ("teacher:3", ModelAddress("teacher", version=3)),
        ("teacher:previous", ModelAddress("teacher", "previous")),
        ("teacher/3", ModelAddress("teacher", version=3)),
        ("models:/teacher", ModelAddress("teacher", "champion")),
        ("models:/teacher@previous", ModelAddress("teacher", "previous")),
        ("models:/teacher/12", ModelAddress("teacher", version=12)),
    ],
)
def test_every_way_to_name_a_version_is_read(text, address):
    assert ModelAddress.parse(text, "student") == address
    assert ModelAddress.parse(str(address), "another") == address


@pytest.mark.parametrize(
    "text", ["", "models:/", "a@b@c", "models:/a@b@c", "a/b", "models:/teacher/champion", "a:", "@a"]
)
def test_what_names_no_version_is_refused_with_an_example(text):
    with pytest.raises(ModelAddressError, match="write models:/NAME@ALIAS.*models:/student@champion"):
        ModelAddress.parse(text, "student")


def test_an_address_is_a_number_or_an_alias():
    assert str(ModelAddress("student", version=3)) == "models:/student/3"
    assert str(ModelAddress("student", "champion")) == "models:/student@champion"
    for wrong in ({}, {"alias": "champion", "version": 3}):
        with pytest.raises(ModelAddressError, match="one of them"):
            ModelAddress("student", **wrong)


def test_digits_of_a_digest_are_no_version():
    assert [text for text in ("12345", "123456", "5a5a5a", "champion", "challenged", "teacher:3") if is_address(text)] == [
        "12345", "champion", "teacher:3",
    ]  # fmt: skip
