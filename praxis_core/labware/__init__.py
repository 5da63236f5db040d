"""PyLabRobot's things without devices: how they are named, made, written down and recognised."""
