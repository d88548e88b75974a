"""Made-up files in the formats of MovieLens-1M, KuaiRand and Ali-CCP, small enough to check by hand."""

from __future__ import annotations

import random
from pathlib import Path


def movielens(folder: Path, users: int = 30, films: int = 20, ratings_per_user: int = 12) -> None:
    """users.dat, movies.dat and ratings.dat: `::`, Latin-1, no header line."""
    folder.mkdir(parents=True)
    rng = random.Random(0)
    genres = ["Action", "Children's", "Comedy", "Drama", "Sci-Fi"]
    profiles = [
        f"{user}::{rng.choice('MF')}::{rng.choice([1, 18, 25, 35, 45, 50, 56])}::{rng.randrange(21)}::"
        f"{rng.randrange(10**5):05d}"
        for user in range(1, users + 1)
    ]
    titles = [
        f"{film}::Caf\xe9 {film}, The ({1970 + film})::{'|'.join(rng.sample(genres, rng.randint(1, 3)))}"
        for film in range(1, films + 1)
    ]
    ratings = []
    for user in range(1, users + 1):
        time = 956_700_000 + rng.randrange(10**6)
        for film in rng.sample(range(1, films + 1), ratings_per_user):
            time += rng.randrange(1, 5000)
            ratings.append(f"{user}::{film}::{rng.randint(1, 5)}::{time}")
    for name, lines in (("users", profiles), ("movies", titles), ("ratings", ratings)):
        (folder / f"{name}.dat").write_text("\n".join(lines) + "\n", encoding="latin-1")


LOG = (
    "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,long_view,"
    "play_time_ms,duration_ms,profile_stay_time,comment_stay_time,is_profile_enter,is_rand,tab"
)
USERS = (
    "user_id,user_active_degree,is_lowactive_period,is_live_streamer,is_video_author,follow_user_num,"
    "follow_user_num_range,fans_user_num,fans_user_num_range,friend_user_num,friend_user_num_range,register_days,"
    "register_days_range," + ",".join(f"onehot_feat{place}" for place in range(18))
)
VIDEOS = (
    "video_id,author_id,video_type,upload_dt,upload_type,visible_status,video_duration,server_width,server_height,"
    "music_id,music_type,tag"
)
#: 2022-05-05 00:00 in China, four days before the log's end.
FIRST_DAY = 1_651_680_000
DAY = 86_400


def kuairand(folder: Path, users: int = 12, videos: int = 8) -> None:
    """user_features_1k.csv, video_features_basic_1k.csv and two logs; the second has 2022-05-07 and 2022-05-08."""
    folder.mkdir(parents=True)
    rng = random.Random(0)
    profiles = [USERS]
    for user in range(users):
        degree = "UNKNOWN" if user == 0 else rng.choice(["full_active", "high_active"])
        onehot = ",".join(str(rng.randrange(3)) for _ in range(18))
        profiles.append(
            f'{user},{degree},0,0,{user % 2},5,"(0,10]",{10 ** (user % 6)},"[10,100)",0,0,{100 * (user + 1)},730+,{onehot}'
        )
    films = [VIDEOS]
    for video in range(videos):
        tag = ["", "12", '"12,65"'][video % 3]
        films.append(
            f"{video},{video // 2},NORMAL,2020-07-08,ShortImport,1,{17200.0 + video},720,1280,{video % 3},4,{tag}"
        )
    logs: dict[str, list[str]] = {"4_08_to_4_21": [LOG], "4_22_to_5_08": [LOG]}
    for day in range(4):
        for user in range(users):
            for impression in range(3):
                time = 1000 * (FIRST_DAY + DAY * day + 3600 * (1 + 7 * impression) + user) + 301
                click = int((user + impression + day) % 2)
                logs["4_08_to_4_21" if day < 2 else "4_22_to_5_08"].append(
                    f"{user},{(user + impression + day) % videos},2022050{5 + day},100,{time},{click},0,0,0,0,0,0,1,2,0,0,0,0,{impression}"
                )
    (folder / "user_features_1k.csv").write_text("\n".join(profiles) + "\n")
    (folder / "video_features_basic_1k.csv").write_text("\n".join(films) + "\n")
    for name, lines in logs.items():
        (folder / f"log_standard_{name}_1k.csv").write_text("\n".join(lines) + "\n")


def packed(*features: tuple[str, str, str]) -> str:
    """Ali-CCP's encoding of a list of (field, id, value)."""
    return "\x01".join(f"{field}\x02{feature}\x03{value}" for field, feature, value in features)


def ali_ccp(folder: Path, users: int = 10) -> None:
    """The skeletons and common features of train and test; user u is `10u`, item i `20i`, category c `30c`."""
    folder.mkdir(parents=True)
    for name, impressions in (("train", 12), ("test", 4)):
        common: list[str] = []
        skeleton: list[str] = []
        for user in range(users):
            index = f"{name}{user:012d}"
            history = [("109_14", f"30{(user + step) % 4}", "0.69315") for step in range(user % 4)]
            of_user = [("101", f"10{user}", "1.0"), ("121", str(user % 5), "1.0"), ("124", str(user % 2), "1.0")]
            of_user += [(field, str(user % 3), "1.0") for field in ("122", "125", "126", "127", "128", "129")]
            common.append(f"{index},{len(of_user + history)},{packed(*of_user, *history)}")
            for impression in range(impressions):
                click = int((user + impression) % 2 == 0)
                bought = int(click and impression % 4 == 0)
                of_item = [
                    ("205", f"20{impression % 6}", "1.0"),
                    ("206", f"30{impression % 4}", "1.0"),
                    ("207", "7", "1.0"),
                ]
                of_item += [("210", "901", "1.0"), ("210", "902", "1.0"), ("216", "55", "1.0"), ("301", "1", "1.0")]
                sample = len(skeleton) + 1
                skeleton.append(f"{sample},{click},{bought},{index},{len(of_item)},{packed(*of_item)}")
        (folder / f"common_features_{name}.csv").write_text("\n".join(common) + "\n")
        (folder / f"sample_skeleton_{name}.csv").write_text("\n".join(skeleton) + "\n")
