"""Frames from video files and images: times, sizes, limits, and everything that must be skipped without a crash."""

from __future__ import annotations

import builtins
import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from veracast.core.errors import InputError, UserError
from veracast.data import media as module
from veracast.data.media import read_frames
from veracast.data.schema import FRAMES, REJECTS

av = pytest.importorskip("av", reason="the extra `media` is not installed")
Image = pytest.importorskip("PIL.Image", reason="the extra `media` is not installed")


def write_video(path: Path, greys: list[int], *, fps: int = 10, size: tuple[int, int] = (64, 48)) -> None:
    """A video whose i-th frame is one flat grey, so that a frame says when it was shown."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=fps)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for grey in greys:
            picture = np.full((size[1], size[0], 3), grey, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def write_image(path: Path, grey: int = 90, size: tuple[int, int] = (40, 30)) -> None:
    Image.new("RGB", size, (grey, grey, grey)).save(path)


def grey_of(jpeg: bytes) -> float:
    return float(np.asarray(Image.open(io.BytesIO(jpeg)).convert("L"), dtype=float).mean())


def reasons(rejects: pl.DataFrame) -> dict[str, str]:
    return dict(rejects.select("record", "reason").iter_rows())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "media"
    path.mkdir()
    return path


def test_frames_lie_at_the_middles_of_equal_stretches(folder: Path) -> None:
    greys = [20 + 5 * i for i in range(40)]  # 4 s at 10 a second
    write_video(folder / "123.mp4", greys)
    found = read_frames(folder, ["douyin:123"], frames_per_video=4, edge_px=32)
    assert found.frames.schema == FRAMES and found.rejects.schema == REJECTS
    assert found.frames["video_id"].unique().to_list() == ["douyin:123"]
    assert found.frames["frame"].to_list() == [0, 1, 2, 3]
    assert found.frames["at_s"].to_list() == pytest.approx([0.5, 1.5, 2.5, 3.5])
    shown = [grey_of(jpeg) for jpeg in found.frames["jpeg"]]
    assert shown == pytest.approx([greys[5], greys[15], greys[25], greys[35]], abs=4)
    assert found.frames.select("width_px", "height_px").unique().rows() == [(32, 24)]
    assert found.rejects.is_empty()


def test_equal_files_give_equal_bytes(folder: Path) -> None:
    write_video(folder / "123.mp4", list(range(20, 60)))
    assert read_frames(folder, ["x:123"]).frames.equals(read_frames(folder, ["x:123"]).frames)


def test_a_video_shorter_than_asked_gives_what_it_has(folder: Path) -> None:
    write_video(folder / "1.mp4", [100, 200])
    frames = read_frames(folder, ["x:1"], frames_per_video=8).frames
    assert frames["frame"].to_list() == [0, 1]
    assert [grey_of(jpeg) for jpeg in frames["jpeg"]] == pytest.approx([100, 200], abs=4)


def test_images_and_image_folders(folder: Path) -> None:
    (folder / "abc").mkdir()
    for i in range(8):
        write_image(folder / "abc" / f"{i}.png", grey=10 * i)
    write_image(folder / "tiktok_def.jpg", grey=200)
    found = read_frames(folder, ["x:abc", "tiktok:def"], frames_per_video=2, edge_px=224)
    by_video = found.frames.filter(pl.col("video_id") == "x:abc")
    assert [round(grey_of(jpeg)) for jpeg in by_video["jpeg"]] == [20, 60]  # 2nd of the 1st four, 2nd of the last four
    assert by_video.select("at_s", "width_px", "height_px").unique().rows() == [(None, 40, 30)]  # never scaled up
    assert grey_of(found.frames.filter(pl.col("video_id") == "tiktok:def")["jpeg"][0]) == pytest.approx(200, abs=2)


def test_pictures_are_turned_upright(folder: Path) -> None:
    image = Image.new("RGB", (40, 20))
    exif = image.getexif()
    exif[0x0112] = 6  # a telephone held upright
    image.save(folder / "1.jpg", exif=exif)
    assert read_frames(folder, ["x:1"]).frames.select("width_px", "height_px").row(0) == (20, 40)


def test_what_is_unreadable_is_listed_and_the_rest_is_kept(folder: Path) -> None:
    write_video(folder / "good.mp4", [50] * 10)
    whole = (folder / "good.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(4000))
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "bare").mkdir()
    (folder / "mixed").mkdir()
    write_image(folder / "mixed" / "a.png")
    (folder / "mixed" / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n garbage")
    (folder / "read me.txt").write_text("no medium, not mentioned")
    write_image(folder / "stranger.png")
    names = ("good", "cut", "noise", "empty", "bare", "mixed")
    found = read_frames(folder, [f"x:{name}" for name in names])
    assert set(found.frames["video_id"]) == {"x:good", "x:mixed"}
    assert reasons(found.rejects) == {
        "cut.mp4": "cannot be decoded",
        "noise.mp4": "cannot be decoded",
        "empty.mp4": "cannot be decoded",
        "bare": "no image in the folder",
        "mixed/b.png": "cannot be decoded",
        "stranger.png": "no video of this id",
    }


def test_an_image_that_would_unpack_to_gigabytes_is_skipped(folder: Path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    (folder / "bomb.png").write_bytes(bomb)
    write_image(folder / "good.png")
    found = read_frames(folder, ["x:bomb", "x:good"])
    assert found.frames["video_id"].to_list() == ["x:good"]
    assert reasons(found.rejects) == {"bomb.png": "too many pixels"}


def test_pixel_limit_names_the_size(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PIXELS", 2000)
    write_video(folder / "wide.mp4", [50] * 5)  # 64 x 48 = 3,072
    write_image(folder / "wide2.png", size=(50, 50))
    write_image(folder / "small.png")
    found = read_frames(folder, ["x:wide", "x:wide2", "x:small"])
    assert found.frames["video_id"].to_list() == ["x:small"]
    assert found.rejects["detail"].to_list() == ["64 x 48, at most 2000 pixels", "50 x 50, at most 2000 pixels"]


def test_a_playlist_in_disguise_opens_nothing(folder: Path, tmp_path: Path) -> None:
    """ffmpeg would follow the paths in a playlist whatever the file is called."""
    secret = tmp_path / "secret.ts"
    write_video(secret, [77] * 20)
    (folder / "1.mp4").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{secret}\n#EXT-X-ENDLIST\n")
    (folder / "2.mp4").write_text(f"ffconcat version 1.0\nfile {secret}\n")
    found = read_frames(folder, ["x:1", "x:2"])
    assert found.frames.is_empty()
    assert set(found.rejects["reason"]) == {"cannot be decoded"}


def test_links_that_lead_outside_are_skipped(folder: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "secret.png")
    (tmp_path / "secrets").mkdir()
    write_image(tmp_path / "secrets" / "a.png")
    write_image(folder / "3.png")
    (folder / "1.png").symlink_to(tmp_path / "secret.png")
    (folder / "2").symlink_to(tmp_path / "secrets")
    (folder / "4").mkdir()
    (folder / "4" / "a.png").symlink_to(tmp_path / "secret.png")
    (folder / "5.png").symlink_to(folder / "3.png")
    os.mkfifo(folder / "6.png")
    found = read_frames(folder, [f"x:{i}" for i in range(1, 7)])
    assert found.frames["video_id"].to_list() == ["x:3", "x:5"]
    outside = "link leads outside the folder"
    expected = {"1.png": outside, "2": outside, "4/a.png": outside, "6.png": "not a regular file"}
    assert reasons(found.rejects) == expected


def test_ambiguous_and_second_media_are_named(folder: Path) -> None:
    for name in ("7.png", "douyin_7.png", "kuaishou_7.png", "8.jpg", "8.png"):
        write_image(folder / name)
    found = read_frames(folder, ["douyin:7", "kuaishou:7", "x:8"])
    assert sorted(found.frames["video_id"]) == ["douyin:7", "kuaishou:7", "x:8"]
    assert reasons(found.rejects) == {"7.png": "id on two platforms", "8.png": "second medium of one video"}


def test_a_video_id_is_never_used_as_a_path(folder: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "secret.png")
    write_image(folder / "1.png")
    found = read_frames(folder, ["x:../secret", f"x:{tmp_path}/secret", "x:1"])
    assert found.frames["video_id"].to_list() == ["x:1"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent", "no such directory -> --media takes a folder of video files or image folders"),
        ("file", "is not a directory -> --media takes a folder of video files or image folders"),
        ("strangers", "none of its 1 video files, images and folders belongs to a video of the data -> name them by"),
    ],
)
def test_folder_faults(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "strangers").mkdir()
    write_image(tmp_path / "strangers" / "99.png")
    with pytest.raises(InputError) as caught:
        read_frames(tmp_path / name, ["x:1"])
    assert str(caught.value).startswith(f"{tmp_path / name}: {message}")


def test_without_the_extra_one_line_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_av(name: str) -> object:
        if name == "av":
            raise ImportError(name)
        return builtins.__import__(name)

    monkeypatch.setattr(module, "import_module", without_av)
    write_image(folder / "1.png")
    assert read_frames(folder, ["x:1"]).frames.height == 1  # images need no PyAV
    (folder / "2.mp4").write_bytes(b"any")
    with pytest.raises(UserError) as caught:
        read_frames(folder, ["x:1", "x:2"])
    expected = "reading frames needs the package av, which is not installed -> pip install 'veracast[media]'"
    assert str(caught.value) == expected
