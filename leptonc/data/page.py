"""Findings as one HTML page, thumbnails in it."""

from __future__ import annotations

from base64 import b64encode
from html import escape

from leptonc.data.findings import KINDS, Findings, Issue
from leptonc.data.text import visible

MOST_SHOWN = 48  # issues of a kind with a thumbnail, which weighs some kilobytes
MOST_LISTED = 500  # the others; JSON has all
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 1100px; margin: 2em auto; padding: 0 1em }
h1 { font-size: 1.6em; margin-bottom: 0 } h2 { font-size: 1.15em; border-bottom: 1px solid #ddd; margin-top: 2em }
h1, p, td, li, figcaption { overflow-wrap: anywhere }
.lead, .count, .note { color: #666 } table { border-collapse: collapse } td { padding: .15em 1em .15em 0; vertical-align: middle }
td.number { text-align: right; font-variant-numeric: tabular-nums } .bar { background: #1f6fb4; height: .8em; border-radius: 2px }
.wide { width: 20em } a { color: #1f6fb4; text-decoration: none }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 14px }
figure { margin: 0; border: 1px solid #e4e4e4; border-radius: 6px; padding: 8px } figcaption { font-size: 12px; line-height: 1.35 }
.pair { display: flex; gap: 4px; height: 100px; align-items: center; justify-content: center }
.pair img { max-width: 100%; max-height: 96px; min-width: 0; height: auto; object-fit: contain } .pair img + img { opacity: .55 }
.name { font-weight: 600 } .none { color: #aaa }
"""


def page(found: Findings) -> str:
    title = _text(f"Data report: {found.source}")
    sections = "\n".join(_section(found, kind, count) for kind, count in found.counts.items())
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{STYLE}</style></head><body>
<h1>{title}</h1>
<p class="lead">{found.count:,} {_text(found.what)}, {len(found.issues):,} issues</p>
{_summary(found)}
{_classes(found)}
{sections}
{_notes(found)}
</body></html>
"""


def _text(value: object) -> str:
    return escape(visible(value))


def _summary(found: Findings) -> str:
    if not found.issues:
        return "<p>Nothing was found.</p>"
    rows = "".join(f'<tr><td><a href="#{kind}">{_text(KINDS[kind].title)}</a></td><td class="number">{count:,}</td></tr>'
                   for kind, count in found.counts.items())
    return f"<table>{rows}</table>"


def _classes(found: Findings) -> str:
    rows = [(part, name, count) for part, names in found.classes.items() for name, count in names.items()]
    if not rows:
        return ""
    most = max(count for *_, count in rows)
    cells = "".join(f'<tr><td>{_text(part)}</td><td>{_text(name)}</td><td class="number">{count:,}</td><td class="wide">'
                    f'<div class="bar" style="width:{100 * count / most:.1f}%"></div></td></tr>' for part, name, count in rows)
    return f"<h2>Classes</h2><table>{cells}</table>"


def _section(found: Findings, kind: str, count: int) -> str:
    issues = found.of(kind)
    shown = [_figure(found, issue) for issue in issues[:MOST_SHOWN]] if found.thumbnail is not None else []
    rest = issues[len(shown):]
    grid = f'<div class="grid">{"".join(shown)}</div>' if shown else ""
    listed = "".join(f"<li><span class=name>{_text(issue.item)}</span>: {_text(issue.why)}</li>" for issue in rest[:MOST_LISTED])
    more = f"<p class=note>and {len(rest) - MOST_LISTED:,} more, which the JSON has</p>" if len(rest) > MOST_LISTED else ""
    repair = f'<p class="note">clean(repair=["{kind}"]): {_text(KINDS[kind].repair)}.</p>' if KINDS[kind].repair else ""
    return (f'<h2 id="{kind}">{_text(KINDS[kind].title)} <span class="count">{count:,}</span></h2>{repair}{grid}'
            f'{f"<ul>{listed}</ul>" if listed else ""}{more}')


def _figure(found: Findings, issue: Issue) -> str:
    pictures = "".join(_picture(found, item) for item in (issue.item, *issue.related[:1]))
    return (f'<figure><div class="pair">{pictures or "<span class=none>no picture</span>"}</div>'
            f"<figcaption><span class=name>{_text(issue.item)}</span><br>{_text(issue.why)}</figcaption></figure>")


def _picture(found: Findings, item: str | int) -> str:
    jpeg = found.thumbnail(item) if found.thumbnail is not None else None
    return f'<img alt="{_text(item)}" src="data:image/jpeg;base64,{b64encode(jpeg).decode()}">' if jpeg else ""


def _notes(found: Findings) -> str:
    if not found.notes:
        return ""
    return f"<h2>Notes</h2><ul>{''.join(f'<li>{_text(note)}</li>' for note in found.notes)}</ul>"
