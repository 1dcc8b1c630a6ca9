"""The annotator: a server on this machine, its page, and the MONAI Label protocol. Needs the extra `web`."""
