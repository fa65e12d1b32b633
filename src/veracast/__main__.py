"""`python -m veracast`"""

from __future__ import annotations

from veracast.cli.main import main

main()
