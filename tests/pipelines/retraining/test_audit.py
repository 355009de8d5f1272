"""The audit trail: what was changed, taken out, put in or moved is found, and named by its number."""

import hashlib
import json
import multiprocessing
import subprocess
import sys
from pathlib import Path

import boto3
import moto
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ml_pipelines.retraining.audit import (
    RECOVERED,
    AuditError,
    Event,
    Head,
    ObjectTrail,
    Trail,
    kept,
    main,
    read,
    verify,
    writer,
)
from ml_pipelines.retraining.canonical import canonical, parsed
from ml_pipelines.steps import manifest


def trail(folder: Path, records: int = 5, key: Ed25519PrivateKey | None = None) -> Path:
    made = Trail(folder / "trail.jsonl", key)
    for number in range(records):
        made.append(
            Event("policy", "model.trained", f"Reason {number}.", "churn", {"data": "ab"}, {"auc": 0.5 + number})
        )
    return made.file


def lines(file: Path) -> list[bytes]:
    return file.read_bytes().splitlines(keepends=True)


def found(file: Path, **how) -> AuditError:
    with pytest.raises(AuditError) as caught:
        verify(file, **how)
    return caught.value


def test_a_trail_verifies_and_tells_its_head(tmp_path):
    file = trail(tmp_path)
    records = read(file)
    assert verify(file) == Head(5, records[-1]["hash"])
    assert [record["number"] for record in records] == [1, 2, 3, 4, 5]
    assert len({record["id"] for record in records}) == 5


def test_the_hash_is_that_of_the_canonical_record(tmp_path):
    record = read(trail(tmp_path, 1))[0]
    told = record.pop("hash")
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert told == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("number", [1, 3, 5])
@pytest.mark.parametrize(
    ("old", "new"),
    [(b"Reason", b"Excuse"), (b'"policy"', b'"nobody"'), (b'"ab"', b'"ac"'), (b'"subject":', b'"subject": ')],
)
def test_a_changed_record_is_named(tmp_path, number, old, new):
    file = trail(tmp_path)
    kept = lines(file)
    kept[number - 1] = kept[number - 1].replace(old, new)
    file.write_bytes(b"".join(kept))
    assert found(file).number == number


def test_each_byte_counts(tmp_path):
    file = trail(tmp_path, 2)
    whole = file.read_bytes()
    end = whole.index(b"\n")
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert found(file).number == (1 if place <= end else 2)


@pytest.mark.parametrize(
    ("change", "number", "says"),
    [
        (lambda kept: kept[:2] + kept[3:], 3, "is missing or was moved: the record 4"),
        (lambda kept: kept[1:], 1, "is missing"),
        (lambda kept: [*kept[:1], kept[2], kept[1], *kept[3:]], 2, "the record 3 stands at its place"),
        (lambda kept: [*kept[:4], kept[1], *kept[4:]], 5, "one too many: the record 2"),
        (lambda kept: [*kept, kept[4]], 6, "one too many: the record 5"),
        (lambda kept: [*kept[:4], kept[4][:-20]], 5, "cut short"),
        (lambda kept: [*kept[:3], b"\n", *kept[3:]], 4, "isn't JSON"),
        (lambda kept: [*kept[:3], b"{}\n", *kept[3:]], 4, "isn't a record"),
    ],
)
def test_what_is_taken_out_put_in_or_moved_is_named(tmp_path, change, number, says):
    file = trail(tmp_path)
    file.write_bytes(b"".join(change(lines(file))))
    error = found(file)
    assert error.number == number
    assert says in str(error)


def forged(record: dict, **other) -> bytes:
    """A record with other content and the hash that fits it."""
    made = {**record, **other}
    said = {name: value for name, value in made.items() if name not in ("hash", "key", "signature")}
    return canonical({**made, "hash": hashlib.sha256(canonical(said)).hexdigest()}) + b"\n"


def test_a_forged_record_with_a_hash_of_its_own_breaks_the_chain_after_it(tmp_path):
    file = trail(tmp_path)
    kept = lines(file)
    kept[2] = forged(read(file)[2], who="somebody else")
    file.write_bytes(b"".join(kept))
    assert found(file).number == 4


def test_a_chain_that_is_made_anew_is_told_by_signatures_and_by_the_head(tmp_path):
    key = Ed25519PrivateKey.generate()
    file = trail(tmp_path, key=key)
    head, records, previous, anew = verify(file, [key.public_key()]), read(file), None, []
    for record in records:
        other = {"previous": previous} if previous else {}
        anew.append(forged(record, **other, **({"why": "Another."} if record["number"] == 2 else {})))
        previous = json.loads(anew[-1])["hash"]
    file.write_bytes(b"".join(anew))
    assert verify(file).number == 5
    assert found(file, trusted=[key.public_key()]).number == 2
    assert found(file, head=head).number == 5


def test_an_unsigned_record_or_one_by_another_key_is_named(tmp_path):
    key = Ed25519PrivateKey.generate()
    file = trail(tmp_path, 2, key)
    Trail(file).append(Event("me", "model.promoted", "Because."))
    error = found(file, trusted=[key.public_key()])
    assert (error.number, "by nobody" in str(error)) == (3, True)
    assert found(file, trusted=[Ed25519PrivateKey.generate().public_key()]).number == 1


def test_an_end_that_is_cut_off_is_told_by_the_head(tmp_path):
    file = trail(tmp_path)
    head = verify(file)
    file.write_bytes(b"".join(lines(file)[:3]))
    assert verify(file).number == 3
    error = found(file, head=head)
    assert (error.number, "3 are left" in str(error)) == (4, True)
    Trail(file).append(Event("me", "x", "y"))
    Trail(file).append(Event("me", "x", "y"))
    assert found(file, head=head).number == 5


def test_a_writer_that_was_killed_is_recovered_from_and_told(tmp_path):
    file = trail(tmp_path, 2)
    with file.open("ab") as stream:
        stream.write(b'{"details":{},"for')
    Trail(file).append(Event("me", "model.promoted", "Because."))
    assert [record["what"] for record in read(file)] == ["model.trained", "model.trained", RECOVERED, "model.promoted"]
    assert read(file)[2]["details"]["bytes"] == 18
    assert verify(file).number == 4


def test_nothing_is_added_to_a_trail_whose_end_was_changed(tmp_path):
    file = trail(tmp_path, 2)
    file.write_bytes(file.read_bytes().replace(b"Reason 1", b"Reason 7"))
    with pytest.raises(AuditError, match="record 2: was changed"):
        Trail(file).append(Event("me", "x", "y"))
    (tmp_path / "other").write_bytes(b"no record\n")
    with pytest.raises(AuditError, match="isn't a record"):
        Trail(tmp_path / "other").append(Event("me", "x", "y"))


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (Event(" ", "x", "y"), "`who`"),
        (Event("me", "x", ""), "`why`"),
        (Event("me", "x", "y", details={"auc": float("nan")}), "no number that JSON has"),
        (Event("me", "x", "y", details={"when": object()}), "JSON doesn't have"),
    ],
)
def test_an_event_that_says_nothing_or_nothing_canonical_is_refused(tmp_path, event, says):
    with pytest.raises(AuditError, match=says):
        Trail(tmp_path / "trail").append(event)
    assert not (tmp_path / "trail").exists() or not (tmp_path / "trail").read_bytes()


def test_long_records_are_found_again(tmp_path):
    made = Trail(tmp_path / "trail")
    for size in (200_000, 10, 65_536, 100_000):
        made.append(Event("me", "x", "y", details={"long": "a" * size}))
    assert verify(made.file).number == 4


def _append(file: Path, who: int, times: int) -> None:
    made = Trail(file)
    for _ in range(times):
        made.append(Event(f"writer-{who}", "x", "y"))


def test_writers_at_the_same_time_make_one_chain(tmp_path):
    context, file = multiprocessing.get_context("fork"), tmp_path / "trail"
    writers = [context.Process(target=_append, args=(file, who, 50)) for who in range(4)]
    for one in writers:
        one.start()
    for one in writers:
        one.join(30)
    assert verify(file).number == 200
    assert {record["who"] for record in read(file)} == {f"writer-{who}" for who in range(4)}


def test_the_command_line(tmp_path, capsys):
    key = Ed25519PrivateKey.generate()
    file = trail(tmp_path, key=key)
    asked = ["verify", str(file), "--trusted", manifest.as_word(key.public_key())]
    assert main(asked) == 0
    head = capsys.readouterr().out.split("head ")[1].strip()
    assert main([*asked, "--head", head]) == 0
    file.write_bytes(file.read_bytes().replace(b"Reason 3", b"Reason 8"))
    run = subprocess.run([sys.executable, "-m", "ml_pipelines.retraining.audit", "verify", file], capture_output=True)
    assert run.returncode == 3
    assert b"record 4: was changed" in run.stderr
    assert main(["verify", str(tmp_path / "none")]) == 2
    assert main(["verify", str(file), "--head", "4"]) == 2
    assert main(["verify", str(file), "--trusted", "ed25519:no"]) == 2


# Of RFC 8785, appendix B, and its examples.
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (9007199254740992.0, "9007199254740992"),
        (295147905179352830000.0, "295147905179352830000"),
        (9.999999999999997e22, "9.999999999999997e+22"),
        (1e23, "1e+23"),
        (999999999999999900000.0, "999999999999999900000"),
        (1e21, "1e+21"),
        (9.999999999999997e-7, "9.999999999999997e-7"),
        (0.000001, "0.000001"),
        (333333333.3333332, "333333333.3333332"),
        (-0.0000033333333333333333, "-0.0000033333333333333333"),
        (1424953923781206.2, "1424953923781206.2"),
        (4.50, "4.5"),
        (2e-3, "0.002"),
        (100, "100"),
        ('€$\u000f\nA\'B"\\\\"/', '"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'),
        ({"\ufb33": 1, "😂": 2, "€": 3, "\r": 4, "1": 5}, '{"\\r":4,"1":5,"€":3,"😂":2,"\ufb33":1}'),
        ([None, True, False, {}], "[null,true,false,{}]"),
    ],
)
def test_the_canonical_form(value, text):
    assert canonical(value) == text.encode()
    if isinstance(value, float):
        assert parsed(text.encode()) == value


@pytest.mark.parametrize("value", [float("inf"), 2**53, {1: 2}, b"bytes", "\ud800"])
def test_what_has_no_canonical_form(value):
    with pytest.raises(ValueError, match=r".+"):
        canonical(value)


@pytest.fixture
def store(monkeypatch):
    """A bucket, and the URL of a trail in it."""
    with moto.mock_aws():
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        client = boto3.client("s3")
        client.create_bucket(Bucket="lake")
        yield client, "s3://lake/trail"


def appended(url, records, key=None):
    for number in range(records):
        writer(url, key).append(Event("policy", "model.trained", f"Reason {number}."))


def test_a_trail_of_objects_is_that_of_lines(store):
    client, url = store
    key = Ed25519PrivateKey.generate()
    appended(url, 12, key)
    head = verify(url, [key.public_key()])
    assert (head.number, head.hash) == (12, read(url)[-1]["hash"])
    names = [one["Key"] for one in client.list_objects_v2(Bucket="lake")["Contents"]]
    assert names[0] == "trail/000000000001.json"
    assert kept(url) == read(url)
    assert kept("s3://lake/other") == []


def test_who_comes_second_takes_the_next_number(store, monkeypatch):
    _, url = store
    late = ObjectTrail(url)
    heads = iter([Head(), late._last, late._last])
    appended(url, 2)
    monkeypatch.setattr(late, "_last", lambda: one() if callable(one := next(heads)) else one)
    assert late.append(Event("me", "model.promoted", "Because."))["number"] == 3
    assert verify(url).number == 3
    monkeypatch.setattr(late, "_last", Head)
    with pytest.raises(AuditError, match="others were faster 10 times"):
        late.append(Event("me", "model.promoted", "Because."))


def change(client):
    body = client.get_object(Bucket="lake", Key="trail/000000000002.json")["Body"].read()
    client.put_object(Bucket="lake", Key="trail/000000000002.json", Body=body.replace(b"Reason", b"Excuse"))


def take_out(client):
    client.delete_object(Bucket="lake", Key="trail/000000000002.json")


def put_in(client):
    client.put_object(Bucket="lake", Key="trail/000000000001b.json", Body=b"{}\n")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (change, "was changed"),
        (take_out, "is missing or was moved: the record 3 stands at its place"),
        (put_in, "isn't a record"),
    ],
)
def test_an_object_that_was_changed_taken_out_or_put_in_is_named(store, capsys, spoil, message):
    client, url = store
    appended(url, 4)
    spoil(client)
    assert main(["verify", url]) == 3
    said = capsys.readouterr().err
    assert "s3://lake/trail: record 2: " in said
    assert message in said


def test_nothing_is_added_after_an_object_that_was_changed(store):
    client, url = store
    appended(url, 2)
    change(client)
    with pytest.raises(AuditError, match="record 2: was changed: nothing is added"):
        appended(url, 1)
