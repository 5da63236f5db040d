"""A workcell: devices and decks that share a physical space, and the boundary in front of them.

======================  =========================================================================
``definition``          what a workcell is, as a document; ``model`` builds PyLabRobot from it
``replica``             the run's side of the boundary: frontends, and backends that are shadows
``boundary``            the seam itself: a backend's coroutines, replaced by senders
``runtime``             the devices' side: carries out commands, one at a time per device; its parts
                        (``connections``, ``admission``, ``commands``, ``recovery``, ...) work with
                        one ``workplace``
``branches``, ``kinds`` what identifies a command, and what repeating it would do
======================  =========================================================================
"""
