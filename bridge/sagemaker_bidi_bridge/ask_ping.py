"""The image's HEALTHCHECK, `python -m sagemaker_bidi_bridge.ask_ping`: 0 where `/ping` is 200."""

import os
import sys
import urllib.error
import urllib.request

from sagemaker_bidi_bridge.settings import SAGEMAKER_PING_MS, Settings, SettingsError, read_settings


def main() -> int:
    """Ask the bridge in this container, and print what it says.

    Returns:
        The exit code, as Docker wants it: 0 healthy, 1 not.
    """
    try:
        settings, _ = read_settings(os.environ)
    except SettingsError:
        settings = Settings()
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)
    # Not through a proxy from the environment.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        url = f"http://{host}:{settings.port}/ping"
        with opener.open(url, timeout=SAGEMAKER_PING_MS / 1_000) as answer:
            print(answer.read().decode(errors="replace"))
    except urllib.error.HTTPError as error:
        with error:
            print(error.read().decode(errors="replace"))
        return 1
    except OSError as error:
        print(f"{url}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
