"""MONAI Label's protocol: requests as 3D Slicer's extension sends them, built by hand, and what it makes of the answers."""

from __future__ import annotations

import email.parser
import email.policy
import gzip
import json
import time
from pathlib import Path
from urllib.parse import quote

import nibabel
import numpy as np
import pytest
import SimpleITK
from fastapi import FastAPI
from fastapi.testclient import TestClient

from data_maker import OBLIQUE, grey, picture, volume
from dicom_maker import make_series
from promisam.app.jobs import Busy, Job, Jobs
from promisam.app.monai_label import router
from promisam.io import read_segmentation
from promisam.session import Bench, Label, Project, Status
from session.fake_segmenter import RADIUS, FakeSegmenter

SHAPE = (40, 31, 12)  # x, y, z of an oblique volume of 0.7 x 0.9 x 2.5 mm
BOUNDARY = "----slicer7MA4YWxkTrZu0gW"


class FakeJobs(Jobs):
    def __init__(self):
        self.jobs, self.asked = [], []

    def start(self, kind, **options):
        if self.jobs and self.jobs[-1].state == "running":
            raise Busy("learn beside learn", expected="one at a time", do="Wait.")
        self.asked.append((kind, options))
        self.jobs.append(Job(str(len(self.jobs) + 1), kind, "running", 3, 10, "step 3 of 10", 1.5))
        return self.jobs[-1]

    def all(self):
        return list(self.jobs)

    def cancel(self, id):  # noqa: A002
        self.jobs[-1] = Job(id, "learn", "cancelled", 3, 10, "cancelled", 2.0)
        return self.jobs[-1]


class Server:
    """The protocol over a folder, and a client for it."""

    def __init__(self, folder, method=None, **how):
        self.project = Project.open(folder)
        self.method = method or FakeSegmenter()
        self.bench, self.jobs = Bench(self.method, "a fake"), FakeJobs()
        app = FastAPI()
        app.include_router(router(self.project, self.bench, self.jobs, **how), prefix="/m")
        self.client = TestClient(app, raise_server_exceptions=True)

    def get(self, place):
        return self.client.get(f"/m{place}", follow_redirects=False)

    def send(self, verb, place, parts):
        """A multipart request."""
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        return self.client.request(verb, f"/m{place}", content=form(parts), headers=headers, follow_redirects=False)

    def infer(self, params, place="/infer/promisam?image=ct", **files):
        return self.send("POST", place, [("params", None, json.dumps(params).encode()), *((n, *f) for n, f in files.items())])


def form(parts):
    """A form as it goes over the wire: (name, file name or None, bytes) each."""
    found = b""
    for name, filename, content in parts:
        told = f'Content-Disposition: form-data; name="{name}"'
        kind = "" if filename is None else f'; filename="{filename}"\r\nContent-Type: application/octet-stream'
        found += f"--{BOUNDARY}\r\n{told}{kind}\r\n\r\n".encode() + content + b"\r\n"
    return found + f"--{BOUNDARY}--\r\n".encode()


def parts(answer):
    """What a client finds in a multipart answer: params, and the file's name and bytes."""
    assert answer.status_code == 200, answer.text
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + answer.content)
    found = {part.get_param("name", header="content-disposition"): part for part in message.iter_parts()}
    assert list(found) == ["params", "image"]
    return (
        json.loads(found["params"].get_payload(decode=True)),
        found["image"].get_filename(),
        found["image"].get_payload(decode=True),
    )


def nifti(content):
    return nibabel.Nifti1Image.from_bytes(gzip.decompress(content))


def nifti_bytes(array, affine=OBLIQUE):
    return gzip.compress(nibabel.Nifti1Image(array, affine).to_bytes())


def disc(at):
    """What the fake draws around a click, on its slice across the coarsest axis, z."""
    i, j, k = np.indices(SHAPE)
    return ((i - at[0]) ** 2 + (j - at[1]) ** 2 < RADIUS**2) & (k == at[2])


@pytest.fixture
def folder(tmp_path):
    """A bright tube along z, from slice 3 to slice 10, and noise alone."""
    i, j, k = np.indices(SHAPE)
    tube = ((i - 20) ** 2 + (j - 11) ** 2 < RADIUS**2) & (k > 2) & (k < 11)
    noise = np.random.default_rng(0).normal(100, 3, SHAPE).astype(np.float32)
    volume(tmp_path / "scans" / "ct.nii.gz", noise + 80 * tube.astype(np.float32))
    volume(tmp_path / "scans" / "mr.nii.gz", noise.astype(np.int16))
    return tmp_path / "scans"


@pytest.fixture
def server(folder):
    return Server(folder)


# --- what the server is ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["/info/", "/info"])
def test_info(server, place):
    told = server.get(place).json()
    assert told["labels"] == ["object"]
    assert told["models"] == {
        "promisam": {"type": "deepedit", "labels": ["object"], "dimension": 3, "description": "a fake", "config": {}}
    }
    assert "promise3d" in told["trainers"]
    assert set(told["strategies"]) == {"promisam", "first", "random"}
    assert told["datastore"] == {"total": 2, "completed": 0, "label_tags": {"final": 0}, "train": []}


def test_an_automatic_method_is_a_segmentation(folder):
    server = Server(folder, FakeSegmenter(ndim=3, accepts=(), automatic=True, classes=("liver", "spleen")))
    assert {name: (told["type"], told["labels"]) for name, told in server.get("/info/").json()["models"].items()} == {
        "promisam_auto": ("segmentation", ["liver", "spleen"])
    }


# --- infer ----------------------------------------------------------------------------------------------------------------


def test_a_click_on_an_oblique_volume_is_answered_on_its_grid(server):
    answer = server.infer({"foreground": [[20, 11, 7]], "background": [], "label": "object", "client_id": "user-xyz"})
    params, name, content = parts(answer)
    assert (params["label_names"], name) == ({"object": 1}, "label.nii.gz")
    mask = nifti(content)
    assert mask.shape == SHAPE
    assert np.allclose(mask.affine, OBLIQUE, atol=1e-4)
    found = np.asarray(mask.dataobj)
    assert set(np.unique(found)) == {0, 1}
    here = disc((20, 11, 7))
    assert np.array_equal(found[:, :, 7] == 1, here[:, :, 7]), "x, y, z are i, j, k of the file"
    assert (found[:, :, 6] == 1).any(), "it is followed through the volume"
    assert (found[:, :, 8] == 1).any()


def test_a_click_off_the_object_on_its_slice(server):
    params = {"foreground": [[20, 11, 7]], "background": [[24, 11, 7]]}
    found = np.asarray(nifti(parts(server.infer(params))[2]).dataobj)
    assert found[17, 11, 7] == 1
    assert found[23, 11, 7] == 0


def test_a_click_off_the_object_where_it_was_followed_to_takes_away_there(server):
    before = np.asarray(nifti(parts(server.infer({"foreground": [[20, 11, 7]]}))[2]).dataobj)
    after = np.asarray(nifti(parts(server.infer({"foreground": [[20, 11, 7]], "background": [[20, 11, 9]]}))[2]).dataobj)
    assert before[20, 11, 9] == 1
    assert after[20, 11, 9] == 0
    assert np.array_equal(np.delete(after, 9, 2), np.delete(before, 9, 2))
    assert ((after == 1) <= (before == 1)).all()


def test_clicks_on_two_slices_meet_halfway(server):
    found = np.asarray(nifti(parts(server.infer({"foreground": [[12, 11, 2], [28, 11, 9]]}))[2]).dataobj)
    assert found[12, 11, 2] == found[28, 11, 9] == 1
    assert found[28, 11, 2] == found[12, 11, 9] == 0


def test_a_box_over_slices(server):
    found = np.asarray(nifti(parts(server.infer({"roi": [10, 20, 5, 15, 3, 6]}))[2]).dataobj)
    assert sorted(np.flatnonzero(found.any((0, 1)))) == [3, 4, 5, 6]
    assert np.flatnonzero(found.any((1, 2))).tolist() == list(range(10, 21))
    assert np.flatnonzero(found.any((0, 2))).tolist() == list(range(5, 16))


def test_a_flat_box_names_its_slice_across_any_axis(server):
    found = np.asarray(nifti(parts(server.infer({"roi": [14, 14, 8, 20, 2, 9]}))[2]).dataobj)
    assert found[14].any()
    assert server.method.asked[0].grid.shape == (12, 31)


def test_clicks_below_the_names_of_labels(server):
    server.project.set_labels([*server.project.labels, Label(7, "tumour", "#aabbcc")])
    params, _, content = parts(server.infer({"object": [[10, 11, 4]], "tumour": [[30, 20, 4]], "background": []}))
    found = np.asarray(nifti(content).dataobj)
    assert params["label_names"] == {"object": 1, "tumour": 7}
    assert (found[10, 11, 4], found[30, 20, 4]) == (1, 7)


def test_a_label_that_a_person_has_just_made_up(server):
    params, _, content = parts(server.infer({"foreground": [[10, 11, 4]], "label": "cyst"}))
    assert params["label_names"] == {"cyst": 2}
    assert set(np.unique(nifti(content).dataobj)) == {0, 2}
    assert [label.name for label in server.project.labels] == ["object"], "asking stores nothing"


def test_lists_as_text(server):
    found = np.asarray(nifti(parts(server.infer({"foreground": "[[20,11,7]]", "background": "[]"}))[2]).dataobj)
    assert found[20, 11, 7] == 1


def test_nrrd_alone_as_slicer_wants_it(server, tmp_path):
    answer = server.infer({"foreground": [[20, 11, 7]], "result_extension": ".nrrd"}, "/infer/promisam?image=ct&output=image")
    assert answer.status_code == 200
    (tmp_path / "a.nrrd").write_bytes(answer.content)
    assert read_segmentation(tmp_path / "a.nrrd").grid.matches(server.project.image("ct").grid)
    assert "label.nrrd" in answer.headers["content-disposition"]


def test_json_alone(server):
    told = server.infer({"foreground": [[20, 11, 7]]}, "/infer/promisam?image=ct&output=json").json()
    assert (told["label_names"], told["model"], told["image"]) == ({"object": 1}, "promisam", "ct")


def test_a_method_of_volumes(folder):
    server = Server(folder, FakeSegmenter(ndim=3))
    found = np.asarray(nifti(parts(server.infer({"foreground": [[20, 11, 7]]}))[2]).dataobj)
    assert found[20, 11, 7] == found[20, 11, 11] == 1
    assert server.method.asked[0].points_zyx.tolist() == [[7, 11, 20]]


def test_what_an_automatic_method_finds_has_the_labels_values(folder):
    server = Server(folder, FakeSegmenter(ndim=3, accepts=(), automatic=True, classes=("spleen", "object")))
    params, _, content = parts(server.infer({}, "/infer/promisam_auto?image=ct"))
    assert params["label_names"] == {"object": 1, "spleen": 2}
    found = np.asarray(nifti(content).dataobj)
    assert (found[20, 11, 2], found[20, 11, 8]) == (2, 1)


def test_a_picture(tmp_path):
    picture(tmp_path / "p" / "x.png", grey(1, (33, 21)))
    server = Server(tmp_path / "p")
    found = np.asarray(nifti(parts(server.infer({"foreground": [[5, 30, 0]]}, "/infer/promisam?image=x"))[2]).dataobj).squeeze()
    assert found.shape == (21, 33)
    assert found[5, 30] == 1
    assert found[15, 30] == 0


def test_an_image_that_is_sent_along(server):
    sent = nifti_bytes(np.random.default_rng(3).normal(size=(20, 22, 6)).astype(np.float32))
    answer = server.infer({"foreground": [[9, 10, 3]]}, "/infer/promisam", file=("mine.nii.gz", sent))
    assert nifti(parts(answer)[2]).shape == (20, 22, 6)
    assert len(server.bench.encodings) == 0, "nothing is kept of it"
    assert list((server.project.own / "exchange").iterdir()) == []


@pytest.mark.parametrize(
    ("params", "saying"),
    [
        ({"foreground": [[20, 11, 99]]}, "off"),
        ({"foreground": [[20, 11, 3], [float("1e308"), 0, 3]]}, "off"),
        ({"foreground": [["a", 1, 2]]}, "foreground"),
        ({"foreground": [[1, 2]]}, "foreground"),
        ({"foreground": {"x": 1}}, "foreground"),
        ({"foreground": [[1, 2, 3]] * 1001}, "foreground"),
        ({"foreground": "[[1,"}, "foreground"),
        ({"background": [[1, 2, 3]]}, "only clicks off"),
        ({"roi": [1, 2, 3]}, "roi"),
        ({"roi": [90, 99, 1, 2, 3, 4]}, "roi"),
        ({}, "without clicks"),
        ({"foreground": [[20, 11, 7]], "result_extension": "/../../x.py"}, "format"),
    ],
)
def test_requests_that_mean_nothing(server, params, saying):
    answer = server.infer(params)
    assert answer.status_code == 400, answer.text
    assert list(answer.json()) == ["detail"]
    assert saying in answer.json()["detail"]


def test_not_finite_numbers(server):
    answer = server.send("POST", "/infer/promisam?image=ct", [("params", None, b'{"foreground": [[NaN, 1, 2]]}')])
    assert answer.status_code == 400
    assert "foreground that is something else" in answer.json()["detail"]


@pytest.mark.parametrize("params", [b"{", b"[1]", b"[" * 100_000])
def test_params_that_are_no_object(server, params):
    answer = server.send("POST", "/infer/promisam?image=ct", [("params", None, params)])
    assert (answer.status_code, list(answer.json())) == (400, ["detail"])


def test_unknown_models_images_and_outputs(server):
    click = {"foreground": [[20, 11, 7]]}
    assert server.infer(click, "/infer/other?image=ct").status_code == 404
    assert server.infer(click, "/infer/promisam?image=none").status_code == 404
    assert server.infer(click, "/infer/promisam").status_code == 404
    answer = server.infer(click, "/infer/promisam?image=ct&output=dicom_seg")
    assert (answer.status_code, answer.json()) == (422, {"detail": "a request whose output cannot be read"})
    assert server.infer(click, label=("x.nii.gz", b"x")).status_code == 400


# --- images ---------------------------------------------------------------------------------------------------------------


def test_an_image_comes_as_it_lies_there(server, folder):
    answer = server.get("/datastore/image?image=ct")
    assert answer.content == (folder / "ct.nii.gz").read_bytes()
    assert 'filename="ct.nii.gz"' in answer.headers["content-disposition"]
    told = server.get("/datastore/image/info?image=ct").json()
    assert (told["id"], told["name"], told["checksum"][:7]) == ("ct", "ct.nii.gz", "SHA256:")


def test_a_dicom_folder_comes_as_nifti_whose_indices_are_ours(tmp_path):
    make_series(tmp_path / "series", np.random.default_rng(0).integers(0, 900, (5, 8, 9)).astype(np.int16))
    server = Server(tmp_path / "series")
    name = next(iter(server.project.inputs))
    image = server.project.image(name)
    content = server.get(f"/datastore/image?image={quote(name)}").content
    (tmp_path / "a.nii.gz").write_bytes(content)
    read = SimpleITK.ReadImage(str(tmp_path / "a.nii.gz"))
    assert np.array_equal(SimpleITK.GetArrayFromImage(read), image.pixels[0])
    assert np.allclose(read.GetOrigin(), image.grid.origin, atol=1e-3)
    assert np.allclose(np.reshape(read.GetDirection(), (3, 3)), image.grid.direction, atol=1e-4)


@pytest.mark.parametrize("name", ["../secret.nii.gz", "/etc/passwd", "", "ct.nii.gz", "..%2fsecret", "ct\0", "a" * 5000])
def test_only_images_of_the_project_are_served(server, folder, name):
    (folder.parent / "secret.nii.gz").write_bytes(b"secret")
    for place in ("/datastore/image", "/datastore/image/info", "/datastore/label"):
        answer = server.get(f"{place}?image={quote(name)}")
        assert answer.status_code == 404
        assert list(answer.json()) == ["detail"]
        assert len(answer.content) < 600


def test_an_upload_becomes_an_image_of_the_project(server, folder):
    sent = nifti_bytes(np.zeros((5, 6, 7), np.uint8))
    answer = server.send("PUT", "/datastore/?image=new", [("params", None, b"{}"), ("file", "x.nii.gz", sent)])
    assert answer.json() == {"image": "new"}
    assert (folder / "new.nii.gz").read_bytes() == sent
    assert server.project.image("new").grid.shape == (7, 6, 5)
    assert set(Project.open(folder).inputs) == {"ct", "mr", "new"}
    assert server.send("PUT", "/datastore?image=new", [("file", "x.nii.gz", sent)]).status_code == 400, "it is taken"


@pytest.mark.parametrize(
    ("place", "filename", "content"),
    [
        ("?image=..%2f..%2fevil", "x.nii.gz", None),
        ("?image=.hidden", "x.nii.gz", None),
        ("?image=a/b", "x.nii.gz", None),
        ("", "../../evil.nii.gz", None),
        ("?image=evil", "evil.py", None),
        ("?image=evil", "evil.mhd", b"ElementDataFile = /etc/passwd"),
        ("?image=evil", "evil.nii.gz", b"no image"),
        ("?image=evil", "e.nrrd", b"NRRD0004\ntype: uint8\ndimension: 1\nsizes: 4\nencoding: raw\ndata file: /etc/passwd\n\n"),
        ("?image=evil", "e.mha", b"ObjectType = Image\r\nNDims = 3\r\nElementDataFile = /etc/passwd\r\n"),
    ],
)
def test_uploads_that_are_refused(server, folder, place, filename, content):
    before = {path for path in folder.parent.rglob("*") if path.is_file()}
    sent = nifti_bytes(np.zeros((5, 6, 7), np.uint8)) if content is None else content
    answer = server.send("PUT", f"/datastore/{place}", [("file", filename, sent)])
    assert answer.status_code == 400, answer.text
    assert "root:" not in answer.text
    assert {path for path in folder.parent.rglob("*") if path.is_file()} == before


def test_a_whole_metaimage_may_be_uploaded(server, folder, tmp_path):
    image = SimpleITK.GetImageFromArray(np.arange(60, dtype=np.int16).reshape(3, 4, 5))
    SimpleITK.WriteImage(image, str(tmp_path / "a.mha"))
    answer = server.send("PUT", "/datastore/?image=m", [("file", "a.mha", (tmp_path / "a.mha").read_bytes())])
    assert answer.json() == {"image": "m"}, answer.text


SECRET = np.arange(1, 13, dtype=np.uint8)
META = "ObjectType = Image\nNDims = 3\nDimSize = 2 2 3\nElementType = MET_UCHAR\n"
NRRD = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 2 3\nencoding: raw\n"


@pytest.mark.parametrize(
    ("filename", "header"),
    [
        ("e.mha", META + "ElementDataFile = {}\n"),
        ("e.mha", META + "  ElementDataFile = {}\n"),
        ("e.mha", META + "\t\v\f ElementDataFile : {}\n"),
        ("e.mha", META + "elementdatafile = LOCAL\nElementDataFile = {}\n"),
        ("e.mha", META + "Elementdatafile = LOCAL\n" + "Comment = abcdefghijklmnopqrst\n" * 3000 + "ElementDataFile = {}\n"),
        (
            "e.mha",
            META + "Foo\nElementDataFile = LOCAL\n" + "Comment = abcdefghijklmnopqrst\n" * 3000 + "ElementDataFile = {}\n",
        ),
        ("e.mha", META + "Comment = abcdefghijklmnopqrst\n" * 3000 + "ElementDataFile = {}\n"),
        ("e.nrrd", NRRD + "data file: {}\n\n"),
        ("e.nrrd", NRRD + "DataFile: {}\n\n"),
        ("e.nrrd", NRRD + "space dimension: 3\rdata file: {}\n\n"),
        ("e.nrrd", NRRD + "# abcdefghijklmnopqrst\n" * 3000 + "data file: {}\n\n"),
        ("e.nrrd", NRRD + "data file: {}\n"),
    ],
)
def test_an_upload_does_not_bring_another_file_of_this_machine(server, folder, tmp_path, filename, header):
    (tmp_path / "secret").write_bytes(SECRET.tobytes())
    sent = header.format(tmp_path / "secret").encode() + bytes(SECRET.size)
    answer = server.send("PUT", "/datastore/?image=evil", [("file", filename, sent)])
    assert answer.status_code == 400, answer.text
    assert not list(folder.glob("evil*"))
    assert list((server.project.own / "exchange").iterdir()) == []


@pytest.mark.parametrize(
    ("filename", "sent"),
    [
        ("a.mha", (META + "Comment = a : b\nElementDataFile = LOCAL\n").encode() + SECRET.tobytes()),
        ("a.mha", META.replace("\n", "\r\n").encode() + b"ElementDataFile=Local\r\n" + SECRET.tobytes()),
        ("a.nrrd", (NRRD + "# data files are elsewhere\nkey:=data file: x\n\n").encode() + SECRET.tobytes()),
        ("a.nrrd", NRRD.replace("\n", "\r\n").encode() + b"\r\n" + SECRET.tobytes()),
    ],
)
def test_one_file_with_its_samples_may_be_uploaded(server, filename, sent):
    answer = server.send("PUT", "/datastore/?image=m", [("file", filename, sent)])
    assert answer.json() == {"image": "m"}, answer.text
    assert np.array_equal(server.project.image("m").pixels.ravel(), SECRET)


def announcing(*shape):
    """The header of a NIfTI file of that many samples."""
    header = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.uint8), OBLIQUE).to_bytes()
    return header[:40] + np.array([len(shape), *shape, *[1] * (7 - len(shape))], "<i2").tobytes() + header[56:]


@pytest.mark.parametrize(
    ("filename", "sent"),
    [
        ("a.nii", announcing(30_000, 30_000, 30_000)),
        ("a.nii.gz", gzip.compress(announcing(30_000, 30_000, 3))),
        ("a.nrrd", NRRD.replace("2 2 3", "30000 30000 3").encode() + b"\n"),
        ("a.nrrd", NRRD.replace("2 2 3", "2 2 " + "9" * 5000).encode() + b"\n"),
        ("a.mha", (META.replace("2 2 3", "30000 30000 3") + "ElementDataFile = LOCAL\n").encode()),
        ("a.mha", (META.replace("2 2 3", "30000 3000 3") + "ElementNumberOfChannels = 9\nElementDataFile = LOCAL\n").encode()),
    ],
)
@pytest.mark.parametrize(("place", "part"), [("/datastore/?image=huge", "file"), ("/session/", "files")])
def test_an_upload_that_announces_too_much_is_not_read(server, monkeypatch, filename, sent, place, part):
    monkeypatch.setattr("promisam.app.monai_files.read", lambda _file: pytest.fail("it was read"))
    answer = server.send("PUT", place, [(part, filename, sent)])
    assert (answer.status_code, "samples; expected at most 600,000,000" in answer.json()["detail"]) == (400, True), answer.text


def test_too_large_a_request(folder):
    server = Server(folder, limit=10_000)
    parts_ = [("file", "x.nii.gz", b"\0" * 20_000)]
    assert server.send("PUT", "/datastore/?image=new", parts_).status_code == 413

    def chunks():  # without a length in the head
        yield form(parts_)[:9000]
        yield form(parts_)[9000:]

    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    answer = server.client.put("/m/datastore/?image=new", content=chunks(), headers=headers)
    assert (answer.status_code, answer.json()["detail"]) == (413, "a request of more than 10000 bytes")


# --- labels ---------------------------------------------------------------------------------------------------------------


def save(server, array, affine=OBLIQUE, tag="final", told=(), place="?image=ct"):
    params = json.dumps({"label_info": list(told), "client_id": "user-xyz"}).encode()
    sent = [("params", None, params), ("label", "label_ct.nii.gz", nifti_bytes(array, affine))]
    return server.send("PUT", f"/datastore/label{place}&tag={tag}", sent)


def test_a_label_is_stored_on_the_image(server):
    drawn = np.zeros(SHAPE, np.uint8)
    drawn[5:9, 6:20, 3:5] = 1
    server.project.set_statuses({"ct": Status("doubt", "model", 0.4, ("small",), 2)})
    answer = save(server, drawn)
    assert answer.json() == {"image": "ct", "label": "ct"}, answer.text
    grid = server.project.image("ct").grid
    file = server.project.mask_files("ct")[0]
    stored = read_segmentation(file)
    assert stored.grid.matches(grid)
    assert np.array_equal(stored.labels, drawn.transpose())
    assert server.project.status("ct") == Status("done", "hand", 0.4, (), 2)
    again = server.get("/datastore/label?label=ct&tag=final")
    assert np.array_equal(np.asarray(nifti(again.content).dataobj), drawn)
    assert np.allclose(nifti(again.content).affine, OBLIQUE, atol=1e-4)
    listed = server.get("/datastore/?output=all").json()["objects"]
    assert [list(listed[name]["labels"]) for name in ("ct", "mr")] == [["final"], []]
    assert server.get("/datastore/?output=train").json() == [{"image": "ct.nii.gz", "label": "masks/ct.nii.gz"}]
    assert server.get("/datastore/").json()["completed"] == 1


def test_labels_go_by_their_names(server):
    drawn = np.zeros(SHAPE, np.uint8)
    drawn[1], drawn[2], drawn[3] = 1, 2, 4
    told = [{"name": "cyst", "idx": 1}, {"name": "object", "idx": 2}]
    assert save(server, drawn, told=told).status_code == 200
    assert {label.value: label.name for label in server.project.labels} == {1: "object", 2: "cyst", 3: "label 4"}
    stored = read_segmentation(server.project.mask_files("ct")[0]).labels
    assert [int(stored[0, 0, i]) for i in (0, 1, 2, 3)] == [0, 2, 1, 3]


def test_another_tag_is_doubt(server):
    assert save(server, np.ones(SHAPE, np.uint8), tag="draft").status_code == 200
    assert server.project.status("ct") == Status("doubt", "hand")


@pytest.mark.parametrize("change", ["shape", "origin", "turned"])
def test_a_label_that_lies_elsewhere_is_refused(server, change):
    affine = OBLIQUE.copy()
    if change == "origin":
        affine[0, 3] += 1
    if change == "turned":
        affine = np.diag([0.7, 0.9, 2.5, 1])
    answer = save(server, np.ones((40, 31, 11) if change == "shape" else SHAPE, np.uint8), affine)
    assert answer.status_code == 400
    assert "exactly the image's grid" in answer.json()["detail"]
    assert "exchange" not in answer.json()["detail"]
    assert server.project.mask_files("ct") == ()


def test_labels_that_are_none(server):
    assert save(server, np.full(SHAPE, 0.5, np.float32)).status_code == 400
    assert server.send("PUT", "/datastore/label?image=ct", [("params", None, b"{}")]).status_code == 400
    assert save(server, np.ones(SHAPE, np.uint8), place="?image=none").status_code == 404
    many = (np.arange(np.prod(SHAPE)) % 400).reshape(SHAPE).astype(np.uint16)
    assert save(server, many).status_code == 400
    assert server.project.mask_files("ct") == ()
    assert len(server.project.labels) == 1


def test_the_models_mask_has_a_tag_of_its_own(server):
    assert server.get("/datastore/label?image=ct&tag=original").status_code == 404
    drawn = np.ones(SHAPE, np.uint8)
    volume(server.project.predictions / "ct.nii.gz", drawn)
    found = nifti(server.get("/datastore/label?image=ct&tag=original").content)
    assert np.array_equal(np.asarray(found.dataobj), drawn)
    assert server.get("/datastore/label?image=ct").status_code == 404


# --- what next ------------------------------------------------------------------------------------------------------------


def ask_next(server, strategy):
    return server.client.post(f"/m/activelearning/{strategy}", json={"client_id": "user-xyz"})


def test_the_next_image(tmp_path):
    for name in "abcd":
        picture(tmp_path / "p" / f"{name}.png", grey(ord(name)))
    server = Server(tmp_path / "p")
    statuses = {
        "a": Status("done", "hand"),
        "b": Status("doubt", "model", 0.9),
        "c": Status("doubt", "model", 0.2),
        "d": Status(chosen=3),
    }
    server.project.set_statuses(statuses)
    told = ask_next(server, "promisam").json()
    assert (told["id"], told["name"], told["path"]) == ("d", "d.png", "d.png")
    assert list(told["strategy"]) == ["promisam"]
    server.project.set_statuses({"d": Status()})
    assert ask_next(server, "promisam").json()["id"] == "c"
    assert ask_next(server, "first").json()["id"] == "b"
    assert {ask_next(server, "random").json()["id"] for _ in range(60)} == {"b", "c", "d"}
    assert ask_next(server, "best").status_code == 404
    server.project.set_statuses({name: Status("done", "hand") for name in "abcd"})
    assert ask_next(server, "promisam").json() == {}


def test_training(server):
    assert server.get("/train/").status_code == 404
    began = server.client.post("/m/train/unet", json={"client_id": "user-xyz"})
    assert (began.status_code, began.json()["status"]) == (200, "RUNNING")
    assert server.jobs.asked == [("learn", {"method": "unet"})]
    assert server.get("/train/?check_if_running=true").json()["details"] == ["step 3 of 10"]
    assert server.client.post("/m/train/unet").status_code == 409
    assert server.get("/logs/?lines=5").text == "learn 1: running, step 3 of 10"
    assert server.client.delete("/m/train/").json()["status"] == "CANCELED"
    assert server.client.delete("/m/train/").status_code == 404
    assert server.get("/train/?check_if_running=true").status_code == 404
    assert server.get("/train/").json()["status"] == "CANCELED"
    assert server.client.post("/m/train/", json={}).status_code == 200
    assert server.jobs.asked[-1] == ("learn", {"method": "promise2d"})


# --- sessions -------------------------------------------------------------------------------------------------------------


def begin(server, shape=(20, 22, 6), place="/session/"):
    sent = nifti_bytes(np.random.default_rng(3).normal(size=shape).astype(np.float32))
    return server.send("PUT", place, [("params", None, b"{}"), ("files", "brain.nii.gz", sent)])


def test_an_image_of_a_session(server):
    session = begin(server).json()["session_id"]
    answer = server.infer({"foreground": [[9, 10, 3]]}, f"/infer/promisam?image=&session_id={session}")
    assert nifti(parts(answer)[2]).shape == (20, 22, 6)
    assert server.get(f"/session/{session}").json()["session_id"] == session
    assert len(server.bench.encodings) > 0
    assert server.client.delete(f"/m/session/{session}").status_code == 200
    assert len(server.bench.encodings) == 0
    assert server.get(f"/session/{session}").status_code == 404
    assert set(server.project.inputs) == {"ct", "mr"}


def test_sessions_end_by_themselves(server, monkeypatch):
    first = begin(server, place="/session?expiry=60").json()["session_id"]
    monkeypatch.setattr(time, "time", lambda now=time.time: now() + 61)
    assert server.get(f"/session/{first}").status_code == 404
    kept = [begin(server).json()["session_id"] for _ in range(5)]
    assert [server.get(f"/session/{one}").status_code for one in kept] == [404, 200, 200, 200, 200]
    assert begin(server, place="/session/?expiry=1e9").status_code == 400
    assert begin(server, place="/session/?expiry=nan").status_code == 400


def test_sessions_of_no_image(server):
    assert server.send("PUT", "/session/", [("files", "x.nii.gz", b"no image")]).status_code == 400
    assert server.send("PUT", "/session/", [("params", None, b"{}")]).status_code == 400
    assert server.get("/session/..%2f..%2fx").status_code == 404


def test_a_fault_of_the_system_is_told_without_its_words(server, monkeypatch):
    def fail(_path):
        raise PermissionError(13, "secret", "/home/somebody")

    monkeypatch.setattr(Path, "read_bytes", fail)
    answer = server.get("/datastore/image?image=ct")
    assert (answer.status_code, answer.json()) == (500, {"detail": "the server could not do it (PermissionError)"})
