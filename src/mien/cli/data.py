"""``mien data``: index, audit, show and split data sets of faces."""

import json
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.caches import temporary_caches
from mien.cli.options import DetectorName
from mien.request import DEFAULT_DETECTOR

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(invoke_without_command=True)


@app.callback()
def show_help(context: typer.Context) -> None:
    """Index, audit, show and split data sets of faces."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


NAMED = 10
"""Number of pictures that a message names; the rest are counted."""

Faces = Annotated[Path, typer.Argument(metavar="MANIFEST|DIR", help="A manifest, or a data set's folder.")]
Manifest = Annotated[Path, typer.Option(help="The manifest to write (CSV).")]


@app.command("index")
def index(
    source: Annotated[
        Path, typer.Argument(metavar="DIR|CSV", help="Folder of the unpacked data set, or a table of faces.")
    ],
    output: Manifest,
    dataset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Name of the data set; recognised if not given. 'list' prints the names.",
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=OWN", help="The table's own name of a column, e.g. path=image_file."),
    ] = None,
    value: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME:OWN=WORD", help="What a value means, e.g. gender:0=male; repeat it."),
    ] = None,
) -> None:
    """Make a manifest from a data set's folder or a table of faces; name the pictures that are left out."""
    from mien.data.folders import label_files
    from mien.data.layout import Layout
    from mien.data.manifest import write_manifest
    from mien.data.sources import SOURCES, index_folder, index_table
    from mien.files import refuse_overwriting

    if dataset == "list":
        typer.echo("\n".join(SOURCES))
        raise typer.Exit
    layout = Layout.parse(column or (), value or ())
    if source.is_dir():
        if column or value:
            raise typer.BadParameter("A folder has no columns; give a table (CSV).")
        faces = index_folder(source, dataset)
        read = label_files(source)
    else:
        refuse_overwriting([output], [source])
        faces, read = index_table(source, layout, output.with_suffix("")), [source]
    refuse_overwriting([output], [*read, *map(Path, [*faces.table["path"], *faces.left_out])])
    write_manifest(faces.table, output)
    if "problem" in faces.table:
        odd = faces.table[faces.table["problem"] != ""]
        _name("misnamed, but indexed", dict(zip(odd["path"], odd["problem"], strict=True)))
    _name("left out", faces.left_out)
    name = faces.table["dataset"][0] or source.name
    typer.echo(f"{len(faces.table):,} faces of {name}: {output}")
    raise typer.Exit(1 if faces.left_out else 0)


@app.command("audit")
def audit(
    faces: Faces,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    output: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Write a manifest without the unreadable pictures.")
    ] = None,
) -> None:
    """Find unreadable and duplicate pictures and contradictory labels, and count the faces."""
    from mien.data.audit import audit as run
    from mien.data.manifest import write_manifest
    from mien.data.report import report
    from mien.data.sources import load_faces
    from mien.files import refuse_overwriting

    face_set = load_faces(faces)
    refuse_overwriting([output], [faces, *map(Path, face_set.table["path"])])
    found = run(face_set)
    if output is not None:
        readable = face_set.table[[not why for why in found.reasons]]
        write_manifest(readable.reset_index(drop=True), output)
        typer.echo(f"{len(readable):,} of {found.faces:,} faces: {output}", err=True)
    text = json.dumps(found.to_json(), indent=1) if as_json else report(found)
    typer.echo(text.encode(errors="backslashreplace"))  # a file name need not be UTF-8
    raise typer.Exit(1 if found.unreadable else 0)


@app.command("show")
@temporary_caches()
def show(
    faces: Faces,
    output: Annotated[Path, typer.Option(help="The picture to write, e.g. sheet.png.")],
    age: Annotated[str | None, typer.Option(help="Only these ages: 26, 20-30 or 60+.")] = None,
    gender: Annotated[str | None, typer.Option(help="Only this gender: female or male.")] = None,
    split: Annotated[str | None, typer.Option(help="Only this split: train, validation or test.")] = None,
    count: Annotated[int, typer.Option(min=1, max=1000, help="Largest number of faces on the sheet.")] = 48,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random choice.")] = 0,
    plots: Annotated[bool, typer.Option("--plots", help="Plot ages and genders instead of faces.")] = False,
) -> None:
    """Draw a sheet of labelled faces, or plot their ages and genders."""
    from mien.data.explore import face_sheet, save_sheet, select
    from mien.data.sources import load_faces
    from mien.files import refuse_overwriting

    table = select(load_faces(faces).table, age=age, gender=gender, split=split)
    refuse_overwriting([output], [faces, *map(Path, table["path"])])
    filters = [text for text in (age and f"age {age}", gender, split) if text]
    title = " · ".join([faces.resolve().name, *filters, f"{len(table):,} faces"])
    unreadable: Mapping[str, str] = {}
    if plots:
        from mien.data.plots import distribution_figure, save_figure

        save_figure(distribution_figure(table, title), output)
    else:
        sheet, unreadable = face_sheet(table, title, count=count, seed=seed)
        save_sheet(sheet, output)
    _name("unreadable", unreadable)
    typer.echo(f"{title}: {output}")
    raise typer.Exit(1 if unreadable else 0)


@app.command("split")
def split(
    faces: Faces,
    output: Manifest,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="A named split of UTKFace: classic (80/20), classic-clean, ages-21-60 or folds-60-20-20. "
            "Without it, test rows stay as they are."
        ),
    ] = None,
    names: Annotated[
        Path | None,
        typer.Option(
            help="File with all file names of the data set, one per line; needed if pictures are missing."
        ),
    ] = None,
    validation: Annotated[
        float, typer.Option(min=0, max=1, help="Share to hold out for validation; 0 for none.")
    ] = 0.1,
    test: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share to hold out for testing; 0 keeps the existing test rows."),
    ] = 0.0,
    stratify: Annotated[
        bool, typer.Option("--stratify", help="Give the parts the same mix of ages and genders.")
    ] = False,
    folds: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="For cross-validation: write this many manifests (NAME-1.csv …), each with another test "
            "part.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random choice.")] = 0,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the validation rows that the manifest already has.")
    ] = False,
) -> None:
    """Mark each face as train, validation or test; duplicate pictures stay together."""
    from mien.data.manifest import write_manifest
    from mien.data.protocols import read_names
    from mien.data.sources import load_faces
    from mien.data.split import divide, divide_into_folds
    from mien.files import refuse_overwriting

    found = load_faces(faces)
    outputs = [output.with_stem(f"{output.stem}-{i + 1}") for i in range(folds)] if folds else [output]
    refuse_overwriting(outputs, [faces, names, *map(Path, found.table["path"])])
    if folds:
        if protocol or names or test:
            raise typer.BadParameter("Each fold is a test part; leave out --protocol, --names and --test.")
        parts = divide_into_folds(
            found.table, folds, validation=validation, seed=seed, stratify=stratify, replace=replace
        )
        for table, path in zip(parts, outputs, strict=True):
            write_manifest(table, path)
            typer.echo(f"{_count_parts(table)}: {path}")
        _name("left out", found.left_out)
        raise typer.Exit(1 if found.left_out else 0)
    everything = read_names(names) if names else None
    division = divide(
        found.table,
        protocol=protocol,
        names=everything,
        validation=validation,
        test=test,
        seed=seed,
        stratify=stratify,
        replace=replace,
    )
    write_manifest(division.table, output)
    _name("left out", found.left_out)
    _name("in train or validation, byte-identical to a test picture", division.identical_to_test)
    _name("in train or validation, near-identical to a test picture", division.near_identical_to_test)
    _name_large_group(division.table)
    if protocol is None:
        _name_far_shares(division.table, {"validation": validation, "test": test})
    said = f"{protocol}: " if protocol else ""
    typer.echo(f"{said}{_count_parts(division.table)}: {output}")
    raise typer.Exit(1 if found.left_out else 0)


@app.command("crop")
def crop(
    faces: Faces,
    output: Annotated[
        Path, typer.Option(metavar="DIR", file_okay=False, help="Folder for the crops and their faces.csv.")
    ],
    detector: DetectorName = DEFAULT_DETECTOR,
) -> None:
    """Cut one face out of each photo, for training: the largest, or the one in the row's box.

    The box is in the columns x1, y1, x2, y2, in pixels. Photos without a face are named and left out.
    """
    from mien.data.crop import crop_faces
    from mien.data.manifest import write_manifest
    from mien.data.sources import load_faces
    from mien.files import refuse_overwriting
    from mien.pipeline.detect import TilingDetector, TurningDetector, make_detector

    found = load_faces(faces)
    manifest = output / "faces.csv"
    refuse_overwriting([manifest], [faces])
    if any(Path(path).resolve().is_relative_to((output / "faces").resolve()) for path in found.table["path"]):
        raise typer.BadParameter(f"{output / 'faces'} holds the photos themselves.", param_hint="--output")
    search = TurningDetector(TilingDetector(make_detector(detector)))
    table, without = crop_faces(found.table, search, output / "faces")
    write_manifest(table, manifest)
    left_out = found.left_out | without
    _name("left out", left_out)
    typer.echo(f"{len(table):,} faces: {manifest}")
    raise typer.Exit(1 if left_out else 0)


def _count_parts(table: "pd.DataFrame") -> str:
    return ", ".join(f"{part} {n:,}" for part, n in table["split"].value_counts().items())


def _name_large_group(table: "pd.DataFrame") -> None:
    """Warn about groups of duplicates so large that the search may have gone wrong."""
    from mien.data.duplicates import is_suspicious

    largest = int(table["group"].value_counts().iloc[0])
    if is_suspicious(largest, len(table)):
        typer.echo(
            f"{largest:,} of {len(table):,} faces are in one group, as the same person or picture, and stay "
            "on one side; 'mien data audit' shows which pictures are the same.",
            err=True,
        )


def _name_far_shares(table: "pd.DataFrame", asked: Mapping[str, float]) -> None:
    """Warn if whole groups made a part far larger or smaller than requested."""
    largest = int(table["group"].value_counts().iloc[0])
    for part, share in asked.items():
        got = float((table["split"] == part).mean())
        if share and abs(got - share) > max(0.05, share / 3):
            typer.echo(
                f"{part} has {100 * got:.0f} % of the faces where {100 * share:.0f} % were asked for: groups "
                f"stay together; there are {table['group'].nunique():,}, the largest of {largest:,} faces.",
                err=True,
            )


def _name(what: str, pictures: Mapping[str, str] | tuple[str, ...]) -> None:
    """Print to stderr the number of such pictures, and the names of the first ones."""
    if pictures:
        typer.echo(f"{len(pictures):,} {what}:", err=True)
    for path in islice(pictures, NAMED):
        reason = f": {pictures[path]}" if isinstance(pictures, Mapping) else ""
        typer.echo(f"  {path}{reason}", err=True)
    if len(pictures) > NAMED:
        typer.echo(f"  … and {len(pictures) - NAMED:,} more", err=True)
