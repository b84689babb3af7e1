"""The body of a chat request, in the shape of chatbot-ui or of the AI SDK -> a `Chat`."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load, validate

from ..chat import Chat
from ..failure import Code, Failure

MAX_MESSAGES = 1000
MAX_PARTS = 10_000
"""The limit for all messages together: so many parts take a tenth of a second to read."""
MAX_TOKENS = 10_000_000

_ROLES = ("system", "developer", "user", "assistant")
MAX_MODEL_CHARACTERS = 200
_IMAGE_DETAILS = ("auto", "low", "high")
_LISTS_OF_PARTS = ("content", "parts", "experimental_attachments")
"""The members of a message that can be lists of parts."""
_IMAGE_ADDRESS = re.compile(r"data:image/[\w.+-]*|https?://", re.IGNORECASE | re.ASCII)
_TEXT_MEMBERS = {"text": "text", "output_text": "text", "refusal": "refusal"}
"""The member with the text, by the type of a part of an answer."""
_UNSENT_TYPES = {
    *"reasoning thinking redacted_thinking image_url source tool_use tool-call tool_result tool-result".split()
}
"""Types of parts of an answer that are not sent again: reasoning, tools, and parts that only users may send."""


def read(body: dict[str, Any]) -> Chat:
    """Read a chat request. Raises `Failure` 400, which names the field and the reason."""
    try:
        chat: Chat = _schema.load(body)
    except ValidationError as error:
        field, why = _first(error.messages)
        raise Failure(Code.BAD_BODY, f"{field}: {why}" if field else why) from error
    return chat


class _Number(fields.Field[float]):
    """A JSON number; a string or a boolean is refused."""

    def _deserialize(self, value: object, *_: object, **__: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValidationError("Not a number.")
        return value


class _Model(fields.Field[str]):
    """The name of a model; only the provider knows which names exist."""

    def _deserialize(self, value: object, *_: object, **__: object) -> str:
        if not isinstance(value, str):
            raise ValidationError("Not a string.")
        if not value.strip() or not value.isprintable() or len(value) > MAX_MODEL_CHARACTERS:
            raise ValidationError("Not a model's name.")
        return value


class _Messages(fields.Field[list[dict[str, Any]]]):
    """The messages, in the shape of chat completions or the AI SDK (`parts`) -> of chat completions, no other keys."""

    def _deserialize(self, value: object, *_: object, **__: object) -> list[dict[str, Any]]:
        if not isinstance(value, list) or not 1 <= len(value) <= MAX_MESSAGES:
            raise ValidationError(f"Must be a list of 1 to {MAX_MESSAGES} messages.")
        if sum(map(_count_parts, value)) > MAX_PARTS:
            raise ValidationError(f"Must be of at most {MAX_PARTS} parts together.")
        messages = [_at(index, _message, message) for index, message in enumerate(value)]
        told = [message for message in messages if not _is_empty_answer(message)]
        if not told:
            raise ValidationError("Must hold a message with content.")
        return told


class _ChatSettingsSchema(Schema):
    """The three chat settings of a frontend that the answer depends on."""

    class Meta:
        """Everything else that frontends send is accepted and ignored."""

        unknown = EXCLUDE

    model = _Model(required=True)
    temperature = _Number(
        load_default=None, allow_none=True, validate=validate.Range(0, 2, error="Must be from 0 to 2.")
    )
    maxTokens = fields.Integer(  # noqa: N815 - the contract's spelling
        load_default=None, allow_none=True, strict=True, validate=validate.Range(1, MAX_TOKENS)
    )


class _ChatSchema(Schema):
    """A chat request -> a `Chat`."""

    class Meta:
        """Everything else that frontends send is accepted and ignored."""

        unknown = EXCLUDE

    chatSettings = fields.Nested(_ChatSettingsSchema, required=True)  # noqa: N815 - the contract's spelling
    messages = _Messages(required=True)

    @post_load
    def _chat(self, data: dict[str, Any], **_: object) -> Chat:
        settings = data["chatSettings"]
        return Chat(settings["model"], data["messages"], settings["temperature"], settings["maxTokens"])


_schema = _ChatSchema()


def _first(messages: object, path: str = "") -> tuple[str, str]:
    """Return the path and the sentence of the first error in marshmallow's nested messages."""
    if isinstance(messages, dict):
        name, inner = next(iter(messages.items()))
        step = "" if name == "_schema" else f"[{name}]" if isinstance(name, int) else f".{name}"
        return _first(inner, path + step)
    if isinstance(messages, list):
        return _first(messages[0], path)
    return path.removeprefix("."), str(messages)


def _at(where: int | str, read: Any, value: object) -> Any:  # noqa: ANN401 - returns what `read` does
    """Read one item; if it is invalid, add its place to the error."""
    try:
        return read(value)
    except ValidationError as error:
        raise ValidationError({where: error.messages}) from error


def _is_empty_answer(message: dict[str, Any]) -> bool:
    """Tell whether this is an answer without text, which providers refuse.

    It was stopped before its first word, or had only reasoning, tool calls or pictures.
    """
    return message["role"] == "assistant" and _is_empty(message["content"])


def _count_parts(message: object) -> int:
    lists = [message.get(name) for name in _LISTS_OF_PARTS] if isinstance(message, dict) else []
    return sum(len(parts) for parts in lists if isinstance(parts, list))


def _message(message: object) -> dict[str, Any]:
    if not isinstance(message, dict):
        raise ValidationError("Not an object.")
    role = message.get("role")
    if role not in _ROLES:
        raise ValidationError({"role": f"Must be one of: {', '.join(_ROLES)}."})
    name = "experimental_attachments"
    pictures = _at(name, _attachments, message.get(name)) if role != "assistant" else []
    content = _read_content(message, may_be_empty=bool(pictures) or role == "assistant")
    if isinstance(content, str) and not pictures:
        return {"role": role, "content": content}
    return {"role": role, "content": _without_blanks([*_parts(content), *pictures])}


def _read_content(message: dict[str, Any], *, may_be_empty: bool) -> str | list[dict[str, Any]]:
    """Read the content of a message, or its parts if the content is empty, or the refusal of an answer."""
    content, parts, is_answer = message.get("content"), message.get("parts"), message["role"] == "assistant"
    said: str | list[dict[str, Any]] = ""
    if _is_empty(content) and parts is not None:
        said = _at("parts", partial(_ui_content, _ui_text if is_answer else _ui_part), parts)
    elif not (_is_empty(content) and may_be_empty):
        said = _at("content", partial(_content, _answer_part if is_answer else _part), content)
    if is_answer and not said and message.get("refusal") is not None:
        said = _at("refusal", _text, message["refusal"])
    return said


def _is_empty(content: object) -> bool:
    """Tell whether content is null, an empty list, or only white space, also in parts."""
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
        return len(texts) == len(content) and all(map(_is_blank, texts))
    return _is_blank(content)


def _is_blank(text: object) -> bool:
    return text is None or (isinstance(text, str) and not text.strip())


def _parts(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return content as a list of parts; blank text becomes an empty list."""
    if isinstance(content, list):
        return content
    return [] if _is_blank(content) else [{"type": "text", "text": content}]


def _without_blanks(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Remove blank text beside a picture, because some providers refuse it."""
    telling = [part for part in parts if part["type"] != "text" or not _is_blank(part["text"])]
    return telling if any(part["type"] != "text" for part in parts) else parts


def _content(read: Callable[[object], dict[str, Any] | None], content: object) -> str | list[dict[str, Any]]:
    if isinstance(content, str):
        return _text(content)
    if not isinstance(content, list) or not content:
        raise ValidationError("Must be a string or a list of parts.")
    found = [_at(index, read, part) for index, part in enumerate(content)]
    return [part for part in found if part]


def _answer_part(part: object) -> dict[str, Any] | None:
    """Read a part of an answer; None for a part that is not sent to the model again."""
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        return _part(part)
    if part["type"] in _UNSENT_TYPES:
        return None
    name = _TEXT_MEMBERS.get(part["type"])
    return {"type": "text", "text": _at(name, _text, part.get(name))} if name else _part(part)


def _part(part: object) -> dict[str, Any]:
    if not isinstance(part, dict):
        raise ValidationError("Not an object.")
    kind = part.get("type")
    if kind == "text":
        return {"type": "text", "text": _at("text", _text, part.get("text"))}
    if kind == "image_url":
        return {"type": "image_url", "image_url": _at("image_url", _image, part.get("image_url"))}
    raise ValidationError({"type": "Must be text or image_url."})


def _image(image: object) -> dict[str, str]:
    """Read an image's address; some clients send the bare string."""
    given = {"url": image} if isinstance(image, str) else image
    if not isinstance(given, dict) or not isinstance(given.get("url"), str):
        raise ValidationError("Must be an object with a url.")
    url = _text(given["url"])
    start = _IMAGE_ADDRESS.match(url)
    if not start:
        raise ValidationError({"url": "Must be a data URL of an image, or a web address."})
    detail = {"detail": given["detail"]} if given.get("detail") in _IMAGE_DETAILS else {}
    return {"url": start[0].lower() + url[start.end() :], **detail}


def _text(text: object) -> str:
    """Take a string without a NUL, which providers refuse."""
    if not isinstance(text, str):
        raise ValidationError("Not a string.")
    if "\0" in text:
        raise ValidationError("Contains a NUL.")
    return text


def _ui_content(read: Callable[[object], dict[str, Any] | None], parts: object) -> str | list[dict[str, Any]]:
    """Turn the parts of an AI SDK message into content; steps, sources and data are not sent to the model."""
    if not isinstance(parts, list):
        raise ValidationError("Must be a list.")
    found = [_at(index, read, part) for index, part in enumerate(parts)]
    content = [part for part in found if part]
    if all(part["type"] == "text" for part in content):
        return "".join(part["text"] for part in content)
    return content


def _ui_part(part: object) -> dict[str, Any] | None:
    if isinstance(part, dict) and part.get("type") == "file":
        return _picture(part, "mediaType", part.get("mediaType"))
    return _ui_text(part)


def _ui_text(part: object) -> dict[str, Any] | None:
    return _part(part) if not isinstance(part, dict) or part.get("type") == "text" else None


def _attachments(attachments: object) -> list[dict[str, Any]]:
    """Read the attachments of AI SDK 4, which are beside the content (https://v4.ai-sdk.dev/docs/ai-sdk-ui/chatbot)."""
    if attachments is None:
        return []
    if not isinstance(attachments, list):
        raise ValidationError("Must be a list.")
    return [_at(index, _attachment, attachment) for index, attachment in enumerate(attachments)]


def _attachment(attachment: object) -> dict[str, Any]:
    """Read one attachment; without a `contentType`, its data URL has the type."""
    if not isinstance(attachment, dict):
        raise ValidationError("Not an object.")
    url = attachment.get("url")
    implied = url[5:] if isinstance(url, str) and url[:5].lower() == "data:" else None
    return _picture(attachment, "contentType", attachment.get("contentType") or implied)


def _picture(file: dict[str, Any], kind: str, media_type: object) -> dict[str, Any]:
    """Turn a file into a part; `kind` is the name of the member with its media type."""
    if not media_type:
        raise ValidationError({kind: "Must say which kind of image this is, like image/png."})
    if not isinstance(media_type, str) or media_type[:6].lower() != "image/":
        raise ValidationError({kind: "Only images can be attached."})
    return {"type": "image_url", "image_url": _at("url", _image, file.get("url"))}
