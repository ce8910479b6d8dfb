"""Errors of the Hugging Face Hub, as one line each.

The token is huggingface_hub's own business: the one of ``hf auth login``, or ``HF_TOKEN``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fedbench.errors import FedbenchError


@contextmanager
def hub_errors(name: str) -> Iterator[None]:
    """Turn errors of huggingface_hub about the repository ``name`` into :class:`FedbenchError`; none of them
    holds the token."""
    from huggingface_hub.errors import HfHubHTTPError, HTTPError  # type: ignore[attr-defined]

    try:
        yield
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status == 412:
            fix = "somebody published meanwhile: publish again; nothing was forced"
            raise FedbenchError(
                f"{name} has diverged", why="its last commit is a newer one", fix=fix
            ) from error
        fix = "log in with `hf auth login`, or set HF_TOKEN to one that has access"
        why = f"HTTP {status}: {error.server_message or 'no reason given'}"
        raise FedbenchError(
            f"the Hub refuses {name}", why=why, fix=fix if status in (401, 403) else ""
        ) from error
    except (OSError, HTTPError) as error:
        raise FedbenchError(
            f"can't reach the Hub for {name}", why=f"{type(error).__name__}: {error}"
        ) from error
    except (RuntimeError, ValueError) as error:  # an upload beside git, which was given up
        why = f"{error} ({type(error.__cause__ or error).__name__})"
        raise FedbenchError(f"the Hub did not take all files of {name}", why=why) from error
