"""How wide text is in the widest fonts that the pictures ask for: the advance widths of DejaVu Sans and Sans Mono.

Numbers of the fonts themselves (version 2.37, 2048 units to the em), and none of the implementation's.
"""

from __future__ import annotations

EM = 2048
MONO = 1233
"""Every character of DejaVu Sans Mono."""
# fmt: off
SANS = (
    651, 821, 942, 1716, 1303, 1946, 1597, 563, 799, 799, 1024, 1716, 651, 739, 651, 690, 1303, 1303, 1303,
    1303, 1303, 1303, 1303, 1303, 1303, 1303, 690, 690, 1716, 1716, 1716, 1087, 2048, 1401, 1405, 1430,
    1577, 1294, 1178, 1587, 1540, 604, 604, 1343, 1141, 1767, 1532, 1612, 1235, 1612, 1423, 1300, 1251,
    1499, 1401, 2025, 1403, 1251, 1403, 799, 690, 799, 1716, 1024, 1024, 1255, 1300, 1126, 1300, 1260, 721,
    1300, 1298, 569, 569, 1186, 569, 1995, 1298, 1253, 1300, 1300, 842, 1067, 803, 1298, 1212, 1675, 1212,
    1212, 1075, 1303, 690, 1303, 1716,
)
"""From the space to the tilde."""
SANS_BOLD = (
    713, 934, 1067, 1716, 1425, 2052, 1786, 627, 936, 936, 1071, 1716, 778, 850, 778, 748, 1425, 1425, 1425,
    1425, 1425, 1425, 1425, 1425, 1425, 1425, 819, 819, 1716, 1716, 1716, 1188, 2048, 1585, 1561, 1503,
    1700, 1399, 1399, 1681, 1714, 762, 762, 1587, 1305, 2038, 1714, 1741, 1501, 1741, 1577, 1475, 1397,
    1663, 1585, 2259, 1579, 1483, 1485, 936, 748, 936, 1716, 1024, 1024, 1382, 1466, 1214, 1466, 1389, 891,
    1466, 1458, 702, 702, 1362, 702, 2134, 1458, 1407, 1466, 1466, 1010, 1219, 979, 1458, 1335, 1892, 1321,
    1335, 1192, 1458, 748, 1458, 1716,
)
# fmt: on
OTHER, OTHER_BOLD = 2100, 2280
"""U+FFFD, for all the others but the ellipsis, which has an em."""


def width(text: str, size: float, *, bold: bool = False, mono: bool = False) -> float:
    """Return the pixels that a text takes."""
    table, other = (SANS_BOLD, OTHER_BOLD) if bold else (SANS, OTHER)
    units = 0
    for letter in text:
        plain = " " <= letter <= "~"
        if mono:
            units += MONO
        elif plain:
            units += table[ord(letter) - 32]
        else:
            units += EM if letter == "…" else other
    return units * size / EM
