"""The naive rival's application. One thing is kinder than most tutorials: the client is shared by all requests."""

from collections.abc import Iterator

from flask import Flask, Response, request
from openai import OpenAI

app = Flask(__name__)
client = OpenAI()


@app.get("/")
def health() -> str:
    """Say that the process is alive."""
    return "ok"


@app.post("/v1/chat/completions")
def chat() -> Response:
    """Ask, and pass each chunk's text on."""
    asked = request.get_json()
    stream = client.chat.completions.create(model=asked["model"], messages=asked["messages"], stream=True)

    def generate() -> Iterator[str]:
        for chunk in stream:
            yield chunk.choices[0].delta.content or ""

    return Response(generate(), mimetype="text/plain")
