# SPDX-License-Identifier: MIT
"""A real nginx with its stream module."""

import pathlib

from . import peer

MAIN = """\
load_module {module};
daemon off;
master_process off;
pid {folder}/nginx.pid;
events {{ }}
include {stream};
"""


class Nginx(peer.Peer):
    """An nginx whose stream context is in STREAM, and which listens from the beginning."""

    def __init__(self, test, stream):
        module = next(pathlib.Path("/usr").glob("lib*/nginx/modules/ngx_stream_module.so"))
        main = MAIN.format(module=module, folder=test.folder, stream=test.write("stream.conf", stream))
        super().__init__(test, "nginx", "-p", str(test.folder), "-e", "stderr",
                         "-c", test.write("nginx.conf", main))
        # nginx writes it once it listens.
        self.wait_until((test.folder / "nginx.pid").exists)
