"""Which of many unlabelled images a person should annotate."""

from promisam.selection.choose import Chosen, Request, Selection, Standing, choose
from promisam.selection.features import Encoded, Encoder, Features, encode, together
from promisam.selection.medoids import cost, extended, k_medoids, nearest, ranked
from promisam.selection.record import Place, read_former, record_of, table_text, write_texts
from promisam.selection.selecting import Selected, select
from promisam.selection.sheet import contact_sheet, thumbnail

__all__ = [
    "Chosen",
    "Encoded",
    "Encoder",
    "Features",
    "Place",
    "Request",
    "Selected",
    "Selection",
    "Standing",
    "choose",
    "contact_sheet",
    "cost",
    "encode",
    "extended",
    "k_medoids",
    "nearest",
    "ranked",
    "read_former",
    "record_of",
    "select",
    "table_text",
    "thumbnail",
    "together",
    "write_texts",
]
