"""The bucket's CORS rules: from which sites a page in a browser may send parts, and read the ETags in the answers.

Only our own rule is changed. Others may be in use by other programs.
"""

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from ..base import SinkError
from .bucket import Bucket
from .retries import code_of, repeat

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CORSRuleOutputTypeDef

_OURS = "millrace-direct-uploads"
_MAX_AGE = 3600  # seconds for which a browser does not ask again


def allow(bucket: Bucket, origins: list[str]) -> None:
    """Let pages of these origins send parts, and no others by our rule."""
    others = [rule for rule in _rules(bucket) if rule.get("ID") != _OURS]
    ours: CORSRuleOutputTypeDef = {
        "ID": _OURS, "AllowedOrigins": origins, "AllowedMethods": ["PUT"], "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag"], "MaxAgeSeconds": _MAX_AGE,
    }  # fmt: skip
    repeat(
        lambda: bucket.client.put_bucket_cors(Bucket=bucket.name, CORSConfiguration={"CORSRules": [*others, ours]})
    )


def refused(bucket: Bucket, origins: list[str]) -> list[str]:
    """Those of these origins whose pages cannot send parts."""
    rules = _rules(bucket)
    return [origin for origin in origins if not any(_allows(rule, origin) for rule in rules)]


def _allows(rule: "CORSRuleOutputTypeDef", origin: str) -> bool:
    exposed = {name.lower() for name in rule.get("ExposeHeaders", [])}
    return (
        "PUT" in rule["AllowedMethods"]
        and "etag" in exposed
        and any(fnmatchcase(origin, allowed) for allowed in rule["AllowedOrigins"])
    )


def _rules(bucket: Bucket) -> "list[CORSRuleOutputTypeDef]":
    try:
        return repeat(lambda: bucket.client.get_bucket_cors(Bucket=bucket.name), at_most=0)["CORSRules"]
    except SinkError as error:
        if isinstance(error.__cause__, ClientError) and code_of(error.__cause__) == "NoSuchCORSConfiguration":
            return []
        raise
