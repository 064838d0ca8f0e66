"""The key to Dask: whoever holds it may have code run there, and nobody else can connect.

One self-signed certificate is its own authority, and with its key it is one file: scheduler,
workers and clients show it to each other. For docker-compose.yaml:
``python -m stack.certificates FILE``.
"""

from __future__ import annotations

import datetime
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from stack.state import write_private_text

#: A server may run for years without a restart; Dask's own last for one.
LIFETIME = datetime.timedelta(days=3650)
#: The clock of this machine may be set back.
TOLERANCE = datetime.timedelta(days=1)


def make_certificate(file: Path) -> None:
    """Write a certificate and its key, which only the file's owner can read, unless it is there."""
    if file.exists():
        return
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "landmark-dask")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - TOLERANCE)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    write_private_text(file, (private + public).decode())


def dask_variables(file: Path) -> dict[str, str]:
    """Return the settings of Dask by which it shows and wants this certificate, and no other."""
    roles = ("CLIENT", "SCHEDULER", "WORKER")
    return {
        "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True",
        "DASK_DISTRIBUTED__COMM__TLS__CA_FILE": str(file),
        **{f"DASK_DISTRIBUTED__COMM__TLS__{role}__CERT": str(file) for role in roles},
    }


if __name__ == "__main__":
    make_certificate(Path(sys.argv[1]))
