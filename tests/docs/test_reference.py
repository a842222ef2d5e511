"""The generated page is what the code says."""

import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_of_settings_metrics_events_and_errors_is_fresh(tmp_path):
    # In a process of its own: other tests declare errors and events too.
    code = f"import sys; sys.path.insert(0, {str(DOCS)!r}); import generate; sys.stdout.write(generate.page())"
    page = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert page == (DOCS / "reference" / "operations.md").read_text(), "run `make docs`"
    for name in ("http_requests_total", "CircuitOpened", "SEAWALL_ADMIN_TOKEN", "NotFoundError"):
        assert name in page
