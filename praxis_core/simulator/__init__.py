"""The pretend lab: simulated devices whose readings follow from what was done to the labware."""
