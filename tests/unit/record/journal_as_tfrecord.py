# SPDX-License-Identifier: Apache-2.0
"""Reads a journal as the TFRecord file it is, from the format's published description alone."""
import struct
import subprocess
import sys
import tempfile


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283
with tempfile.TemporaryDirectory() as folder:
    subprocess.run([sys.argv[1], folder], check=True)
    with open(folder + "/journal.rec", "rb") as file:
        data = file.read()
position, records = 0, []
while position < len(data):
    length, check = struct.unpack_from("<QI", data, position)
    assert check == masked(data[position:position + 8])
    record = data[position + 12:position + 12 + length]
    assert struct.unpack_from("<I", data, position + 12 + length)[0] == masked(record)
    records.append(record)
    position += length + 16
assert position == len(data) and len(records) == 6, (position, len(data), len(records))
# The first record is a JournalEvent whose field 2 (length-delimited) holds the job.
assert b"\x12" in records[0] and b"cpu (2 threads)" in records[0]
assert struct.pack("<f", 0.5) in records[4]
