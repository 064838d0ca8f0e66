"""S3 from `rclone serve s3`: objects are plain files ``<folder>/<bucket>/<key>``."""

from __future__ import annotations

import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stack.health import is_well
from stack.net import HOST

BUCKET = "landmark"
#: What a client must say to this server: botocore `Config` arguments.
CLIENT_CONFIG: dict[str, Any] = {
    "signature_version": "s3v4",
    "s3": {"addressing_style": "path"},
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
}


@dataclass(frozen=True)
class S3:
    """A server on 127.0.0.1 and the one key pair that it accepts."""

    port: int
    access_key: str
    secret_key: str

    @property
    def endpoint_url(self) -> str:
        """The server's address."""
        return f"http://{HOST}:{self.port}"

    def answers(self) -> bool:
        """Whether the server takes requests yet."""
        return is_well(self.endpoint_url)

    def command(self, folder: Path) -> list[str]:
        """Return the server's command line; its key pair goes by `environment`, unseen by `ps`."""
        return [
            str(Path(sysconfig.get_path("scripts"), "rclone")),
            "serve",
            "s3",
            f"--addr={HOST}:{self.port}",
            "--config=",  # the user's own rclone remotes are none of our business
            "--dir-cache-time=2s",  # files dropped into the folder show up this soon
            "--poll-interval=0",
            str(folder),
        ]

    def environment(self) -> dict[str, str]:
        """Return the variable that gives `command` its key pair: CSV, so the pair is quoted."""
        return {"RCLONE_AUTH_KEY": f'"{self.access_key},{self.secret_key}"'}

    def client(self) -> Any:
        """Return a boto3 client."""
        return s3_client(
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
        )


def make_bucket(folder: Path, bucket: str = BUCKET) -> None:
    """Make a bucket of the server over `folder`: a folder in it."""
    Path(folder, bucket).mkdir(parents=True, exist_ok=True)


def s3_client(config: dict[str, Any] = CLIENT_CONFIG, **arguments: Any) -> Any:
    """Return a boto3 client; a second to import, so only where one is used."""
    import boto3
    from botocore.config import Config

    arguments.setdefault("region_name", "us-east-1")
    return boto3.client("s3", config=Config(**config), **arguments)
