"""Keys: made on first use, or by path; every one that cannot sign is refused with what to do."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from orchestration.doctor.signing_findings import signing
from provenance.certificates import (
    DEVELOPMENT,
    _make_development,
    load_credentials,
    load_weights_credentials,
    own_certificates,
)
from provenance.settings import ProvenanceError, SigningSettings, notes, read_settings
from tests.provenance.cases import before_it_expires, issue, save_pair


@pytest.fixture(autouse=True)
def settings(monkeypatch, tmp_path) -> None:
    for name in ("SIGNING", "CERTIFICATE", "KEY", "TIME_STAMPS", "TRUSTED", "WATERMARK"):
        monkeypatch.delenv(f"OMNIHUMAN_{name}", raising=False)
    monkeypatch.setenv("OMNIHUMAN_KEYS", str(tmp_path / "keys"))


def use(monkeypatch, variables: dict[str, str]) -> SigningSettings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return read_settings()


def test_the_development_certificate_is_of_c2pas_profile_and_its_key_is_the_owners(tmp_path):
    made = load_credentials(read_settings())
    extensions = made.certificate.extensions
    assert made.development and made.algorithm == "ed25519"
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.EMAIL_PROTECTION
    ]
    assert stat.S_IMODE((tmp_path / "keys" / "development.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert b"PRIVATE" not in (tmp_path / "keys" / "certificate.pem").read_bytes()
    again = load_credentials(read_settings())
    assert again.certificate == made.certificate


def test_processes_that_begin_together_end_with_one_certificate(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: _make_development(tmp_path / "keys"), range(8)))
    first = load_credentials(read_settings()).certificate
    _make_development(tmp_path / "keys")  # came second
    assert load_credentials(read_settings()).certificate == first
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == ["certificate.pem", "development.pem"]


def test_the_development_certificate_of_weights_is_another_where_that_of_exports_is_of_no_curve(tmp_path):
    exports, weights = (load(read_settings()) for load in (load_credentials, load_weights_credentials))
    assert (exports.algorithm, weights.algorithm) == ("ed25519", "es256")
    assert load_weights_credentials(read_settings()).certificate == weights.certificate
    assert own_certificates(read_settings()) == [exports.certificate, weights.certificate]
    given_away = x509.load_pem_x509_certificates((tmp_path / "keys" / "certificate.pem").read_bytes())
    assert given_away == [exports.certificate, weights.certificate]
    assert stat.S_IMODE((tmp_path / "keys" / "development-weights.pem").stat().st_mode) == 0o600


def test_a_development_certificate_of_before_that_is_of_a_curve_signs_weights_too(tmp_path):
    certificate, key = issue(DEVELOPMENT)
    files = save_pair(tmp_path / "before", (certificate, key))
    (tmp_path / "keys").mkdir()
    both = b"".join(Path(files[f"OMNIHUMAN_{name}"]).read_bytes() for name in ("CERTIFICATE", "KEY"))
    (tmp_path / "keys" / "development.pem").write_bytes(both)
    (tmp_path / "keys" / "development.pem").chmod(0o600)
    assert load_weights_credentials(read_settings()).certificate == certificate
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["development.pem"]


def test_a_named_certificate_signs_in_place_of_the_development_one(monkeypatch, tmp_path):
    root = issue("Root", authority=True)
    leaf = issue("Studio", by=root)
    found = load_credentials(use(monkeypatch, save_pair(tmp_path / "own", leaf, root[0])))
    assert found.certificate == leaf[0] and not found.development and found.chain.count(b"BEGIN") == 2
    assert not (tmp_path / "keys").exists()


def test_a_key_that_was_exchanged_or_opened_while_the_process_runs_is_read_again(monkeypatch, tmp_path):
    settings = use(monkeypatch, save_pair(tmp_path / "own", issue("First")))
    first = load_credentials(settings)
    assert load_credentials(settings) is first
    second = issue("Second")
    save_pair(tmp_path / "own", second)
    assert load_credentials(settings).certificate == second[0]
    (tmp_path / "own" / "key.pem").chmod(0o640)
    with pytest.raises(ProvenanceError, match="others may read"):
        load_credentials(settings)


def test_a_certificate_that_expires_while_the_process_runs_is_refused(monkeypatch, tmp_path):
    def load(pair):
        settings = use(monkeypatch, save_pair(tmp_path / "own", pair))
        load_credentials(settings)
        return settings

    settings = before_it_expires(load)
    with pytest.raises(ProvenanceError, match="not today"):
        load_credentials(settings)


@pytest.mark.parametrize(
    ("pair", "other_key", "words"),
    [
        (issue(days=(-10, -1)), False, "not today"),
        (issue(days=(1, 10)), False, "not today"),
        (issue(), True, "not that of the certificate"),
        (issue(authority=True), False, "CA:FALSE"),
        (issue(usage=False), False, "digitalSignature"),
    ],
    ids=["expired", "not_yet", "wrong_key", "an_authority", "not_for_signing"],
)
def test_a_certificate_that_cannot_sign_is_refused_before_anything_is_made(
    monkeypatch, tmp_path, pair, other_key, words
):
    variables = save_pair(tmp_path, pair, key=issue()[1] if other_key else None)
    with pytest.raises(ProvenanceError, match=words):
        load_credentials(use(monkeypatch, variables))


def test_a_key_that_others_may_read_is_refused(monkeypatch, tmp_path):
    variables = save_pair(tmp_path, issue())
    Path(variables["OMNIHUMAN_KEY"]).chmod(0o640)
    with pytest.raises(ProvenanceError, match="chmod 600"):
        load_credentials(use(monkeypatch, variables))


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"OMNIHUMAN_SIGNING": "maybe"}, "required or off"),
        ({"OMNIHUMAN_WATERMARK": "no"}, "on or off"),
        ({"OMNIHUMAN_CERTIFICATE": "a.pem"}, "set both"),
        ({"OMNIHUMAN_KEY": "a.pem"}, "set both"),
        ({"OMNIHUMAN_CERTIFICATE": "/nowhere/a.pem", "OMNIHUMAN_KEY": "/nowhere/b.pem"}, "no certificate can be read"),
    ],
)
def test_settings_that_mean_nothing_are_refused(monkeypatch, variables, words):
    with pytest.raises(ProvenanceError, match=words):
        load_credentials(use(monkeypatch, variables))


def test_a_folder_that_cannot_be_written_is_one_error(monkeypatch, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("OMNIHUMAN_KEYS", str(tmp_path / "file" / "keys"))
    with pytest.raises(ProvenanceError, match="no development certificate can be made"):
        load_credentials(read_settings())


def test_switching_off_comes_with_a_note_on_who_answers(monkeypatch):
    settings = use(monkeypatch, {"OMNIHUMAN_SIGNING": "off", "OMNIHUMAN_WATERMARK": "off"})
    assert not settings.required and ["up to you" in notes(settings)[0], len(notes(settings))] == [True, 2]


def test_to_ask_whom_we_trust_makes_nothing(monkeypatch, tmp_path):
    assert own_certificates(read_settings()) == [] and not (tmp_path / "keys").exists()
    trusted = save_pair(tmp_path / "friend", issue("Friend"))["OMNIHUMAN_CERTIFICATE"]
    monkeypatch.setenv("OMNIHUMAN_TRUSTED", trusted)
    assert len(own_certificates(read_settings())) == 1


def test_the_doctor_says_who_signs_and_makes_nothing(monkeypatch, tmp_path):
    found = signing()
    assert found.ok and "on first use" in found.message and not (tmp_path / "keys").exists()
    load_credentials(read_settings())
    assert "valid until" in signing().message
    use(monkeypatch, save_pair(tmp_path / "own", issue(days=(-10, -1))))
    assert not signing().ok and "not today" in signing().message
    monkeypatch.setenv("OMNIHUMAN_SIGNING", "off")
    assert signing().ok and "switched off" in signing().message
