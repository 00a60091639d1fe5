"""Draws the run: what waits, what comes and goes, what the daemon takes, and below which fault was when. With gnuplot."""

import os
import shutil
import subprocess

from schedule import KINDS

COLOURS = {"daemon": "#b2182b", "cloud": "#d6604d", "network": "#e08214", "answers": "#8073ac", "twin": "#542788",
           "disk": "#01665e", "clock": "#2166ac", "reload": "#737373", "reader": "#1b7837", "pause": "#737373"}
RATE_SECONDS = 2
LEFT, RIGHT = 0.155, 0.93


def rates(series, name):
    """A second's, over the last RATE_SECONDS or more."""
    seconds, values = series["seconds"], series[name]
    start = 0
    for end in range(1, len(seconds)):
        while start + 1 < end and seconds[end] - seconds[start + 1] >= RATE_SECONDS:
            start += 1
        yield seconds[end], (values[end] - values[start]) / max(seconds[end] - seconds[start], 0.001)


def write_rows(path, rows):
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(" ".join("NaN" if value is None else str(value) for value in row) + "\n")


def bars(faults, kinds, least):
    """From, to, and line of each fault; what is shorter than `least` is widened so that it shows."""
    for kind, begin, end in faults:
        if kind in kinds:
            yield begin, max(end, begin + least), kinds.index(kind)


def draw(directory, series, faults, title):
    """The path of the picture, or None where there is no gnuplot."""
    if shutil.which("gnuplot") is None:
        return None
    last = max([*series["seconds"][-1:], *[end for _, _, end in faults], 1])
    seen = {kind for kind, _, _ in faults}
    kinds = [kind for kind in reversed(KINDS) if kind in seen]
    data = os.path.join(directory, "plot")
    os.makedirs(data, exist_ok=True)
    write_rows(f"{data}/series", zip(series["seconds"], series["backlog"], [v and v / 1024 for v in series["rss_kib"]],
                                     series["descriptors"]))
    for name in ("acknowledged", "delivered"):
        write_rows(f"{data}/{name}", rates(series, name))
    colours = [int(COLOURS[KINDS[kind].track][1:], 16) for kind in kinds]
    write_rows(f"{data}/faults", [(*bar, colours[bar[2]]) for bar in bars(faults, kinds, last / 500)])
    tics = ", ".join(f'"{kind}" {line}' for line, kind in enumerate(kinds))
    minutes = last > 400
    unit = 60 if minutes else 1
    picture = os.path.join(directory, "soak.png")
    lines = len(kinds)
    height = 760 + 19 * max(lines, 6)
    gantt_top = (19 * max(lines, 6) + 55) / height
    panel = (1 - gantt_top - 62 / height) / 3
    gap = 34 / height

    def place(number):  # 0 is the topmost
        top = 1 - 56 / height - number * panel
        return f"set tmargin at screen {top:.4f}; set bmargin at screen {top - panel + gap:.4f}"

    script = f"""
set terminal pngcairo size 1500,{height} font 'sans,11' background '#ffffff'
set output '{picture}'
set multiplot title "{title}" font 'sans,13'
set lmargin at screen {LEFT}; set rmargin at screen {RIGHT}
set xrange [0:{last / unit:.3f}]
set grid xtics ytics lc rgb '#dddddd' lt 1
set border 3 lc rgb '#888888'; set tics nomirror textcolor rgb '#333333'
set key at graph 1, graph 1.09 right top horizontal font 'sans,10' samplen 2
set style fill solid 0.5 noborder
set format x ''
{place(0)}
set ylabel 'waiting, messages'
set yrange [0:*]
plot '{data}/series' using ($1/{unit}):2 with filledcurves x1 lc rgb '#4393c3' title 'acknowledged, not yet at the cloud'
{place(1)}
set ylabel 'messages/s'
plot '{data}/delivered' using ($1/{unit}):2 with lines lw 2 lc rgb '#e66101' title 'delivered', \\
     '{data}/acknowledged' using ($1/{unit}):2 with lines lw 1.5 lc rgb '#2c3e50' title 'acknowledged (204)'
{place(2)}
set ylabel 'resident, MiB'
set y2label 'descriptors'; set y2tics textcolor rgb '#333333'; set y2range [0:*]
plot '{data}/series' using ($1/{unit}):3 with lines lw 1.5 lc rgb '#1b7837' title 'resident memory of the daemon', \\
     '' using ($1/{unit}):4 axes x1y2 with lines lw 1 lc rgb '#9970ab' title 'its descriptors'
unset y2label; unset y2tics
set tmargin at screen {gantt_top:.4f}; set bmargin at screen {48 / height:.4f}
unset ylabel; unset key
set format x '%g'
set xlabel '{"minutes" if minutes else "seconds"}'
set yrange [-0.7:{max(lines, 1) - 0.3}]
set ytics ({tics or '"no fault" 0'}) font 'sans,10'
set style fill solid 0.9 noborder
plot '{data}/faults' using ($1/{unit}):3:($1/{unit}):($2/{unit}):($3-0.33):($3+0.33):4 \\
     with boxxyerror lc rgb variable notitle
unset multiplot
"""
    if not faults:
        write_rows(f"{data}/faults", [(0, 0, 0, 0)])
    done = subprocess.run(["gnuplot"], input=script, capture_output=True, text=True, timeout=120, check=False)
    shutil.rmtree(data)
    if done.returncode != 0:
        raise AssertionError(f"gnuplot: {done.stderr}")
    return picture
