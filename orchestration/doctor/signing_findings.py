"""What `omnihuman doctor` says of how exports and weights are signed; nothing is made."""

from orchestration.doctor.finding import Finding
from provenance.certificates import DEVELOPMENT_FILE, load_credentials
from provenance.settings import CERTIFICATE, SIGNING, ProvenanceError, read_settings


def signing() -> Finding:
    """Whether the certificate and key can sign today, and for how long."""
    try:
        settings = read_settings()
        if not settings.required:
            return Finding(
                "signing", True, f"switched off by {SIGNING}: nothing that is exported or registered is signed"
            )
        if settings.certificate is None and not (settings.folder / DEVELOPMENT_FILE).is_file():
            made = f"a development certificate, for which nobody vouches, is made in {settings.folder} on first use"
            return Finding("signing", True, f"{made}; {CERTIFICATE} names your own")
        credentials = load_credentials(settings)
    except ProvenanceError as error:
        return Finding("signing", False, str(error))
    whose = "the development certificate" if credentials.development else f"the certificate {credentials.source}"
    return Finding("signing", True, f"by {whose}, valid until {credentials.certificate.not_valid_after_utc:%Y-%m-%d}")
