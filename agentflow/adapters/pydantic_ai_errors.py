"""What pydantic-ai raises, as ours: does it help to try again, and if not, what is there to fix?

The texts end up in Temporal's history. So nothing a provider wrote is quoted: it may repeat the
prompt or a part of the key. Its error code and request id are enough to look the rest up.
"""

import re
import traceback
from datetime import timedelta
from pathlib import PurePath

from pydantic_ai import exceptions as raised

from agentflow.errors import ModelError, ModelRejectedError, ModelUnavailableError

_NOT_SENT = ("pool", "connect")
"""Stages of a request in which nothing of it has left."""
_LONGEST_WAIT = timedelta(days=1)
_MAY_WORK_LATER = (408, 409, 425, 429)
_TOO_LARGE = 413
_REFUSED = (400, 401, 403, 404, 413, 422, 429)
"""A request that is answered with one of these was refused before anything was generated, but for:"""
_AFTER_GENERATING = re.compile(
    r"fail(ed|ure)|generat|content|filter|moderat|inspection|safety|policy|invalid_prompt|output",
    re.IGNORECASE,
)
"""Codes of a 400 that some give for what was generated: groq's ``tool_use_failed`` and
``json_validate_failed``, Azure's ``content_filter``, DashScope's ``data_inspection_failed``."""

_KEY_VARIABLES = {
    "google": "GOOGLE_API_KEY",
    "google-cloud": "GOOGLE_APPLICATION_CREDENTIALS",
    "bedrock": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_BEARER_TOKEN_BEDROCK)",
    "openai-chat": "OPENAI_API_KEY",
    "openai-responses": "OPENAI_API_KEY",
    "azure": "AZURE_OPENAI_API_KEY",
    "azure-responses": "AZURE_OPENAI_API_KEY",
}
# By name, so that the SDKs of providers which aren't used needn't be there: botocore's and google.auth's.
_NO_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError", "RefreshError")

# How OpenAI and vLLM, llama.cpp, Anthropic, and Google word it.
_LIMIT = re.compile(
    r"maximum context length is (\d+)|context size \((\d+)|> (\d+) maximum|tokens allowed \(?(\d+)"
)
_CODE = re.compile(r"[A-Za-z][A-Za-z_.]{0,63}")
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_.\[\]]{0,63}")
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-amzn-requestid")


def model_error(error: Exception, name: str, context_window: int | None = None) -> ModelError:
    """The error to raise instead, ``from None``: Temporal records causes, bodies and all.

    Args:
        error: What came out of pydantic-ai or a provider's SDK.
        name: ``provider:model``.
        context_window: The model's, in tokens, if known: for a provider that doesn't say.
    """
    match error:
        case raised.ModelHTTPError():
            return _from_status(error, name, context_window)
        case raised.ModelRequestTimeout() | raised.ModelTimeoutError():
            return ModelUnavailableError(f"{name} gave no answer in the time allowed")
        case raised.ModelConnectionError():
            where = f" ({error.phase})" if error.phase else ""
            return ModelUnavailableError(
                f"{name} could not be reached, or the connection broke{where}",
                unbilled=error.phase in _NOT_SENT,
            )
        case raised.ModelAPIError() | raised.UnexpectedModelBehavior():
            return _from_answer(error, name, context_window)
        case raised.UserError():
            # pydantic-ai's own words about settings and models; they quote no message.
            return ModelRejectedError(f"{name} can't be asked this: {error.message[:300]}")
        case _:
            return _from_sdk(error, name)


def no_credentials(name: str) -> ModelRejectedError:
    """The error for credentials that aren't there."""
    return ModelRejectedError(f"{name} has no credentials: {_set_the_key(name)}", unbilled=True)


def _from_status(error: raised.ModelHTTPError, name: str, context_window: int | None) -> ModelError:
    said = f"{name} answered {error.status_code}{_details(error)}"
    unbilled = _is_unbilled(error)
    if isinstance(error, raised.ModelQuotaExceededError):
        # A 429 as well, often, but waiting doesn't help.
        return ModelRejectedError(
            f"{said}: quota or credit is used up; top up the account or raise the limit", unbilled=unbilled
        )
    busy = isinstance(error, raised.ModelUnavailableError) or error.status_code in _MAY_WORK_LATER
    if busy or error.status_code >= 500:
        return ModelUnavailableError(said, retry_after=_wait(error), unbilled=unbilled)
    if error.status_code == _TOO_LARGE or _is_too_long(error):
        return _too_long(error, said, context_window, unbilled=unbilled)
    return ModelRejectedError(f"{said}: {_what_to_fix(error, name)}", unbilled=unbilled)


def _is_unbilled(error: raised.ModelHTTPError) -> bool:
    """Whether the provider certainly refused the request before it generated anything.

    A status that came with no response of its own (within a stream, or inside a 200) may be of what was
    generated.
    """
    if error.status_code not in _REFUSED or error.in_stream or error.headers is None:
        return False
    codes = " ".join(code for code in (error.provider_error_code, error.provider_error_type) if code)
    return error.status_code != 400 or not (
        _AFTER_GENERATING.search(codes) or "failed_generation" in str(error.body)
    )


def _what_to_fix(error: raised.ModelHTTPError, name: str) -> str:
    if isinstance(error, raised.ModelAuthenticationError):
        return f"the credentials are refused, or may not use this model; {_set_the_key(name)}"
    if isinstance(error, raised.ModelNotFoundError):
        hint = f"; did you mean {error.suggested_model_id}?" if error.suggested_model_id else ""
        return f"there is no model by this name at that address{hint}"
    return (
        "the provider refuses the request itself; compare tool schemas and options with what the model"
        " supports. Its words are left out, since they may quote the conversation"
    )


def _from_answer(
    error: raised.ModelAPIError | raised.UnexpectedModelBehavior, name: str, context_window: int | None
) -> ModelError:
    """For failures that came with no status of their own, or inside an answer that began well."""
    match error:
        case raised.ContentFilterError():
            return ModelRejectedError(
                f"{name} refuses to answer: its content filter stopped the request or the answer"
            )
        case raised.ModelContextWindowExceededError():
            return _too_long(error, name, context_window)
        case raised.ModelRequestRejectedError() | raised.ModelQuotaExceededError():
            return ModelRejectedError(f"{name} refuses the request{_details(error)}")
        case raised.ModelAPIError():
            return ModelUnavailableError(
                f"{name} failed to answer{_details(error)}", retry_after=_wait(error)
            )
        case _:
            return ModelUnavailableError(f"{name} gave an answer that can't be read")


def _from_sdk(error: Exception, name: str) -> ModelError:
    if type(error).__name__ in _NO_CREDENTIALS:
        return no_credentials(name)
    # The text may quote anything, so only the place is told.
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return ModelUnavailableError(f"{name} could not be asked: {type(error).__name__}{place}")


def _too_long(
    error: raised.ModelAPIError, said: str, context_window: int | None, *, unbilled: bool = False
) -> ModelRejectedError:
    found = _LIMIT.search(str(error.body))
    limit = next((group for group in found.groups() if group), None) if found else context_window
    takes = f"; the model takes {limit} tokens" if limit else ""
    return ModelRejectedError(
        f"{said}: the conversation is too long{takes}. Shorten instructions or tool outputs, or route to a"
        " model with a larger context window",
        unbilled=unbilled,
    )


def _is_too_long(error: raised.ModelHTTPError) -> bool:
    return isinstance(error, raised.ModelContextWindowExceededError) or bool(_LIMIT.search(str(error.body)))


def _details(error: raised.ModelAPIError) -> str:
    """Error code, refused parameter and request id, where they look like such and like nothing else."""
    details = [
        code
        for code in (error.provider_error_code, error.provider_error_type)
        if code and _CODE.fullmatch(code)
    ]
    match error.body:
        case {"param": str(parameter)} if _PARAMETER.fullmatch(parameter):
            details.append(f"parameter {parameter}")
        case _:
            pass
    headers = (error.headers if isinstance(error, raised.ModelHTTPError) else None) or {}
    request_id = next((headers[header] for header in _REQUEST_ID_HEADERS if header in headers), "")
    if _REQUEST_ID.fullmatch(request_id):
        details.append(f"request {request_id}")
    return f" ({', '.join(dict.fromkeys(details))})" if details else ""


def _wait(error: raised.ModelAPIError) -> timedelta | None:
    if error.retry_after is None:
        return None
    return timedelta(seconds=min(error.retry_after, _LONGEST_WAIT.total_seconds()))


def _set_the_key(name: str) -> str:
    provider = name.partition(":")[0]
    variable = _KEY_VARIABLES.get(provider, f"{provider.upper().replace('-', '_')}_API_KEY")
    elsewhere = (
        "" if provider == "bedrock" else ", or for a server of your own the api_key of its ModelEndpoint"
    )
    return f"set {variable}{elsewhere}"
