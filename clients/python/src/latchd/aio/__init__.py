"""The client for asyncio, over `aiohttp`: `pip install latchd[asyncio]`.

    async with AsyncClient("https://127.0.0.1:8443") as client:
        async with client.lock("report", wait=10) as hold:
            ...  # under hold.fencing_token; cancelled if the lock is lost

A hold is renewed by a task of its own. The errors are those of `latchd`.
"""

from .client import Acquiring, AsyncClient
from .hold import AsyncHold
from .leadership import AsyncLeadership

__all__ = ["Acquiring", "AsyncClient", "AsyncHold", "AsyncLeadership"]
