"""Evidence: what every method reaches on one's own labelled data, measured row by row, and the report of it."""

from promisam.evidence.gathering import check_same_cases, gathered, publish
from promisam.evidence.machine import Machine
from promisam.evidence.measuring import Measured, kept, measure
from promisam.evidence.plan import PROFILES, Entry, Profile, left_out, plan
from promisam.evidence.sets import LabelledSet, find_sets
from promisam.evidence.tables import Tables, read_tables, tables_of
from promisam.evidence.writing import render

__all__ = [
    "PROFILES",
    "Entry",
    "LabelledSet",
    "Machine",
    "Measured",
    "Profile",
    "Tables",
    "check_same_cases",
    "find_sets",
    "gathered",
    "kept",
    "left_out",
    "measure",
    "plan",
    "publish",
    "read_tables",
    "render",
    "tables_of",
]
