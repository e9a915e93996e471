#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the sample tasks: eight small, different skills, 300 training and 100 test rows each.

    python3 sample-data/make.py

Seeded: the files that lie beside this script are exactly what it writes. No test row's question occurs in training.
Each row is one JSON object with the fields instruction, input, output and answer.
"""
import json
import random
from pathlib import Path

MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
          "December"]
NAMES = ["Anna", "Ben", "Cleo", "David", "Emma", "Felix", "Grace", "Hugo", "Ivy", "Jack", "Kate", "Leo", "Mia", "Noah"]
PEOPLE = [("pilots", "a pilot"), ("bakers", "a baker"), ("sailors", "a sailor"), ("painters", "a painter"),
          ("farmers", "a farmer"), ("dancers", "a dancer"), ("doctors", "a doctor"), ("miners", "a miner")]
SKILLS = ["swim", "sing", "cook", "ski", "juggle", "whistle", "knit", "drive", "climb", "skate"]
WORDS = """apple arrow autumn bakery basket beacon blanket bottle branch bridge bright bucket butter button cabin camera candle
carpet castle cherry circle clever cloud coffee copper corner cotton cradle cricket crystal curtain damage dancer desert
dragon dream eagle early earth engine evening fabric family farmer feather fence finger flower forest fountain friend
frozen garden garlic gentle giant ginger glacier glass golden grape gravel guitar hammer harbor harvest hazel helmet
hidden hollow honey horizon hungry island ivory jacket jewel jungle kettle kitchen ladder lantern laptop lemon library
lizard magnet maple marble market meadow melon mirror monkey mountain music napkin needle nickel north ocean olive
onion orange orchard oyster paddle palace panda paper parrot pencil pepper pillow planet pocket potato prism puzzle
rabbit rainbow ribbon river rocket saddle sailor salmon scarf school shadow shelter silver simple singer snow spider
spring squash stable station storm summer sunset table temple thunder ticket tiger timber tomato tower travel tunnel
turtle umbrella valley velvet village violet wagon walnut water weather whale whistle window winter wizard wooden yellow
zebra""".split()
KINDS = {
    "animal": "dog horse eagle salmon spider whale rabbit tiger parrot lizard goat wolf bear frog shark owl hen mouse".split(),
    "plant": "oak rose fern cactus maple tulip moss bamboo ivy daisy pine wheat clover lily palm birch nettle willow".split(),
    "tool": "hammer saw wrench drill shovel axe chisel pliers rake ladder screwdriver file broom knife trowel clamp".split(),
    "food": "bread cheese soup rice pasta cake butter omelette salad pancake sausage noodle pie biscuit stew jam".split(),
}
UNITS = [("kilometres", "metres", 1000), ("metres", "centimetres", 100), ("hours", "minutes", 60),
         ("minutes", "seconds", 60), ("kilograms", "grams", 1000), ("days", "hours", 24), ("weeks", "days", 7),
         ("litres", "millilitres", 1000)]


def row(question, answer, data=""):
    return {"instruction": question, "input": data, "output": str(answer), "answer": str(answer)}


def arithmetic(r):
    a, b = r.randint(2, 60), r.randint(2, 39)
    if r.random() < 0.5:
        return row(f"What is {a} + {b}?", a + b)
    a, b = max(a, b), min(a, b)
    return row(f"What is {a} - {b}?", a - b)


def letters(r):
    word = r.choice(WORDS)
    place = r.choice(["first", "second", "last"])
    return row(f"What is the {place} letter of this word?", {"first": word[0], "second": word[1], "last": word[-1]}[place], word)


def dates(r):
    year, month, day = r.randint(1900, 2099), r.randint(1, 12), r.randint(1, 28)
    name = MONTHS[month - 1]
    written = r.choice([f"{day} {name} {year}", f"{name} {day}, {year}", f"{day} {name[:3]} {year}"])
    return row("Write this date as year-month-day.", f"{year}-{month:02}-{day:02}", written)


def units(r):
    big, small, factor = r.choice(UNITS)
    count = r.randint(2, 99)
    return row(f"How many {small} are {count} {big}?", count * factor)


def logic(r):
    name = r.choice(NAMES)
    (kind, one), (other, _) = r.sample(PEOPLE, 2)
    skill, distraction = r.sample(SKILLS, 2)
    every = r.random() < 0.5
    facts = [f"{'All' if every else 'No'} {kind} can {skill}.", f"{r.choice(['All', 'No'])} {other} can {distraction}."]
    r.shuffle(facts)
    return row(f"Can {name} {skill}? Answer yes or no.", "yes" if every else "no", " ".join(facts) + f" {name} is {one}.")


def sequences(r):
    start, step = r.randint(1, 60), r.choice([1, 2, 3, 4, 5, 10])
    numbers = [start + step * i for i in range(5)]
    if r.random() < 0.4:
        numbers.reverse()
        numbers = [n + 20 for n in numbers]
    return row("Which number comes next?", 2 * numbers[3] - numbers[2], ", ".join(map(str, numbers[:4])))


def odd_one(r):
    kind, other = r.sample(sorted(KINDS), 2)
    odd = r.choice(KINDS[other])
    words = r.sample(KINDS[kind], 3) + [odd]
    r.shuffle(words)
    return row("Which of these words does not belong with the others?", odd, ", ".join(words))


def ordering(r):
    numbers = r.sample(range(10, 100), 4)
    largest = r.random() < 0.5
    question = f"What is the {'largest' if largest else 'smallest'} of these numbers?"
    return row(question, max(numbers) if largest else min(numbers), ", ".join(map(str, numbers)))


TASKS = {"arithmetic": arithmetic, "letters": letters, "dates": dates, "units": units, "logic": logic,
         "sequences": sequences, "odd-one": odd_one, "ordering": ordering}


def main():
    here = Path(__file__).resolve().parent
    for index, (name, make) in enumerate(TASKS.items()):
        r = random.Random(20261122 + index)
        seen, rows = set(), []
        while len(rows) < 400:
            candidate = make(r)
            question = (candidate["instruction"], candidate["input"])
            if question not in seen:
                seen.add(question)
                rows.append(candidate)
        folder = here / name
        folder.mkdir(exist_ok=True)
        for split, part in (("train", rows[:300]), ("test", rows[300:])):
            text = "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in part)
            (folder / f"{split}.jsonl").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
