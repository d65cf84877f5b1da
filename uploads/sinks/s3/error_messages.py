"""What an answer of the store means to the administrator, and what to do."""

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
)

# A connection that is refused or broken, and an answer that does not come.
NETWORK_ERRORS = (ConnectionError, HTTPClientError)
_UNREACHABLE = "The object store does not answer. Is it running, and is AWS_ENDPOINT_URL_S3 its address?"
_NO_CREDENTIALS = "There are no credentials for the object store. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
_NO_REGION = "The region of the bucket is unknown. Set AWS_DEFAULT_REGION."
_WRONG_CREDENTIALS = (
    "The object store does not accept the credentials. Correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
)
_NOT_ALLOWED = (
    "The credentials do not allow this. Grant s3:ListBucket and s3:ListBucketMultipartUploads on the bucket, and "
    "s3:GetObject, s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload and s3:ListMultipartUploadParts on its "
    "objects."
)
_WRONG_REGION = "The bucket is in another region. Correct AWS_DEFAULT_REGION."
_BY_CODE = {
    "NoSuchBucket": "The bucket does not exist. Create it, or correct MILLRACE_STORAGE.",
    "InvalidAccessKeyId": _WRONG_CREDENTIALS,
    "SignatureDoesNotMatch": _WRONG_CREDENTIALS,
    "InvalidToken": _WRONG_CREDENTIALS,
    "ExpiredToken": _WRONG_CREDENTIALS,
    "AccessDenied": _NOT_ALLOWED,
    "403": _NOT_ALLOWED,
    "AllAccessDisabled": _NOT_ALLOWED,
    "RequestTimeTooSkewed": "The clocks of this host and of the object store differ too much. Correct them.",
    "AuthorizationHeaderMalformed": _WRONG_REGION,
    "PermanentRedirect": _WRONG_REGION,
    "301": _WRONG_REGION,
}


def explain(error: BotoCoreError | ClientError) -> str:
    """Say what is wrong and what to do. Users may see it: it names no address and no key."""
    match error:
        case ClientError():
            code = str(error.response.get("Error", {}).get("Code"))
            return f"{_BY_CODE.get(code, 'The object store refused.')} ({error.operation_name}: {code})"
        case NoCredentialsError() | PartialCredentialsError():
            return _NO_CREDENTIALS
        case NoRegionError():
            return _NO_REGION
    if isinstance(error, NETWORK_ERRORS):
        return f"{_UNREACHABLE} ({type(error).__name__})"
    return f"The request to the object store failed. ({type(error).__name__})"
