"""The pretend lab: what is physically there on a simulated workcell, in a process of its own.

A simulated workcell behaves like hardware: its devices go on when the host or a run is killed, they
keep what they carry, and several runs share them. ``lab`` is that process. It holds the *truth*
(``truth``): what is in every well and tip, where every tip and plate is, what every device is set
to. Physics (``pipetting``, ``gripping``, ``device_settings``) changes it, or refuses as a device
would; every effect is on the disk (``effect_log``) before anybody is told. A restarted lab goes on
from there.

``lab_link`` is the host's way to it: backends whose coroutines happen in the lab. ``lab_control``
is for people who rehearse and for tests: let a call fail in a chosen way, kill a process at a
chosen effect, look at the truth, put things by hand. The lab knows nothing of the bookkeeping of
``assets`` and of the journal: it is what these are compared with.

Simulated devices of our own (``reader``, ``chemistry``) read what was pipetted.
"""
