"""Open the file systems of URLs, by fsspec: s3://, gs://, az://, hf://, https:// and whatever else is installed."""

from __future__ import annotations

from typing import Any, NamedTuple

from poolwright.core.errors import MissingExtra, RecipeError, is_installed


class Scheme(NamedTuple):
    """How the files of a scheme are read.

    Attributes:
        module: library that reads them.
        of: what they are, for errors.
        keys: how to give keys.
    """

    module: str
    of: str
    keys: str


_S3 = Scheme("s3fs", "files in S3", "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
_GCS = Scheme(
    "gcsfs",
    "files in Google Cloud Storage",
    "set GOOGLE_APPLICATION_CREDENTIALS, or run: gcloud auth application-default login",
)
_AZURE = Scheme(
    "adlfs",
    "files in Azure Blob Storage",
    "set AZURE_STORAGE_ACCOUNT_NAME, and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN",
)
_HUB = Scheme("huggingface_hub", "datasets of the Hugging Face Hub", "set HF_TOKEN, or run: hf auth login")
_WEB = Scheme("aiohttp", "files behind URLs", "name a URL that can be read without a password")
_SCHEMES = {
    "s3": _S3,
    "s3a": _S3,
    "gs": _GCS,
    "gcs": _GCS,
    "az": _AZURE,
    "abfs": _AZURE,
    "abfss": _AZURE,
    "hf": _HUB,
    "http": _WEB,
    "https": _WEB,
}


_CONNECT_SECONDS = 5


def is_url(path: str) -> bool:
    """Whether a path is a URL, such as s3://bucket/key."""
    return "://" in path


def scheme_of(url: str) -> str:
    """Return the scheme of a URL, such as 's3'."""
    return url.partition("://")[0].lower()


def keys_for(url: str) -> str:
    """Say how to give the keys that a URL's store asks for."""
    known = _SCHEMES.get(scheme_of(url))
    return known.keys if known else "give keys that may read it"


def file_system(url: str, attempts: int | None = None) -> tuple[Any, str]:
    """Return the fsspec file system of a URL, and the path in it.

    Args:
        attempts: times that a request to S3 is made before it has failed; default that of its client.

    Raises:
        MissingExtra: the library that reads such URLs is not installed.
        RecipeError: the URL's file system is not known, or cannot be opened as it is set up.
    """
    import fsspec

    known = _SCHEMES.get(scheme_of(url))
    if known and not is_installed(known.module):
        raise MissingExtra(known.module, f"{url}: reading {known.of}")
    options: dict[str, Any] = {}
    if known is _S3:
        # s3fs looks files up in its listings one by one; of a folder of 100,000 objects that takes hours.
        options["use_listings_cache"] = False
        # A connection is by default waited for for minutes.
        options["config_kwargs"] = {"connect_timeout": _CONNECT_SECONDS}
        options["config_kwargs"] |= {"retries": {"total_max_attempts": attempts}} if attempts else {}
    try:
        system, path = fsspec.core.url_to_fs(url, **options)
    except (ImportError, ValueError) as error:
        how = f"; {known.keys}" if known else ""
        raise RecipeError(f"{url}: no file system for this URL ({error}){how}") from None
    return system, str(path)
