"""Registration: where each place of one image lies in another. One interface, several engines."""

from promisam.spatial.registration.fields import warp
from promisam.spatial.registration.registering import Engine, Registered, register

__all__ = ["Engine", "Registered", "register", "warp"]
