"""moto's S3 server as a process: `python s3_server.py PORT_FILE`.

One request at a time: moto checks If-None-Match and writes in two steps, which S3 does in one.
"""

from __future__ import annotations

import sys
from pathlib import Path

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

if __name__ == "__main__":
    server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=False)
    partial = Path(sys.argv[1] + ".partial")
    partial.write_text(str(server.port))
    partial.rename(sys.argv[1])
    server.serve_forever()
