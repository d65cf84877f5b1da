"""FastAPI, three ways: its UploadFile in a loop of 64 KB or 1 MB, and the request's raw stream."""

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable
from typing import Any

import aiofiles
from fastapi import FastAPI, Request, UploadFile

from tests.bench.peers.disk import new_path

app = FastAPI()


async def _keep(read: Callable[[], Awaitable[bytes]]) -> dict[str, str]:
    digest = hashlib.sha256()
    async with aiofiles.open(new_path(), "wb") as out:
        while data := await read():
            digest.update(data)
            await out.write(data)
        await _sync(out)
    return {"sha256": digest.hexdigest()}


async def _sync(out: Any) -> None:
    await out.flush()
    await asyncio.to_thread(os.fdatasync, out.fileno())


async def form_64k(file: UploadFile) -> dict[str, str]:
    return await _keep(lambda: file.read(64 * 1024))


async def form_1m(file: UploadFile) -> dict[str, str]:
    return await _keep(lambda: file.read(1024 * 1024))


async def raw(request: Request) -> dict[str, str]:
    digest = hashlib.sha256()
    async with aiofiles.open(new_path(), "wb") as out:
        async for data in request.stream():
            digest.update(data)
            await out.write(data)
        await _sync(out)
    return {"sha256": digest.hexdigest()}


app.add_api_route("/form-64k", form_64k, methods=["POST"])
app.add_api_route("/form-1m", form_1m, methods=["POST"])
app.add_api_route("/raw", raw, methods=["PUT"])
