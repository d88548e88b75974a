"""Made-up files in the published form of KuaiRand-Pure: six users, eight videos, one exposure every three hours."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

USER_HEADER = (
    "user_id,user_active_degree,is_lowactive_period,is_live_streamer,is_video_author,follow_user_num,"
    "follow_user_num_range,fans_user_num,fans_user_num_range,friend_user_num,friend_user_num_range,register_days,"
    f"register_days_range,{','.join(f'onehot_feat{number}' for number in range(18))}"
)
VIDEO_HEADER = (
    "video_id,author_id,video_type,upload_dt,upload_type,visible_status,video_duration,server_width,server_height,"
    "music_id,music_type,tag"
)
LOG_HEADER = (
    "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,long_view,"
    "play_time_ms,duration_ms,profile_stay_time,comment_stay_time,is_profile_enter,is_rand,tab"
)
EARLY = "log_standard_4_08_to_4_21_pure.csv"
LATE = "log_standard_4_22_to_5_08_pure.csv"
RANDOM = "log_random_4_22_to_5_08_pure.csv"
USERS, VIDEOS = "user_features_pure.csv", "video_features_basic_pure.csv"
USER_COUNT, VIDEO_COUNT = 6, 8

Change = Callable[[dict[str, list[str]]], None]


def log_row(user: int, video: int, time: datetime, actions: str = "000000", is_rand: int = 0, tab: int = 1) -> str:
    """An exposure; `actions` are is_click, is_like, is_follow, is_comment, is_forward and long_view. `time` is UTC+8."""
    click, like, follow, comment, forward, view = tuple(actions)
    milliseconds = int((time - timedelta(hours=8)).replace(tzinfo=UTC).timestamp() * 1000)
    return (
        f"{user},{video},{time:%Y%m%d},{time:%H}00,{milliseconds},{click},{like},{follow},{comment},{forward},0,{view},"
        f"1000,20000,0,0,0,{is_rand},{tab}"
    )


def good_rows() -> dict[str, list[str]]:
    """The lines of each file by its name, the header first. Exposure k is of user k % 6 and video k % 7 (not 7)."""
    kinds = ("000000", "100000", "100001", "110001", "000000", "100101", "101000", "000010", "000000")
    logs: dict[str, list[str]] = {EARLY: [LOG_HEADER], LATE: [LOG_HEADER], RANDOM: [LOG_HEADER]}
    for k in range(31 * 8):
        time = datetime(2022, 4, 8) + timedelta(hours=3 * k)
        name = EARLY if time < datetime(2022, 4, 22) else LATE
        logs[name].append(log_row(k % USER_COUNT, k % 7, time, kinds[k % len(kinds)], tab=k % 3))
        if name == LATE:
            later = time + timedelta(hours=1)
            logs[RANDOM].append(log_row(k % 5, k % VIDEO_COUNT, later, kinds[(k // 2) % len(kinds)], is_rand=1))
    onehot = ",".join(["1"] * 12 + ["0.0"] * 6)
    users = [f'{user},{("full_active", "UNKNOWN")[user % 2]},0,-124,{user % 2},300,"(250,500]",20,"[10,100)",3,"[1,5)",'
             f"799,730+,{onehot}" for user in range(USER_COUNT)]  # fmt: skip
    videos = [f'{video},{100 + video // 2},NORMAL,2022-04-10,{("Kmovie", "UNKNOWN")[video % 2]},0.0,{video * 1000}.0,720.0,'
              f'1280.0,{900 + video},9.0,"{video},39"' for video in range(VIDEO_COUNT)]  # fmt: skip
    return {USERS: [USER_HEADER, *users], VIDEOS: [VIDEO_HEADER, *videos], **logs}


def write(folder: Path, rows: dict[str, list[str]]) -> Path:
    """Write files by their names; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in rows.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
