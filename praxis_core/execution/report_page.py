"""How the report of a run looks and moves: the parts of its page that are the same for all runs.

The page loads nothing: it opens without a network, and lets no other script run.
"""

from __future__ import annotations

import base64
import hashlib
import json

from pydantic import JsonValue

from praxis_core.pictures.svg import escaped

STYLE = """
:root{color-scheme:light dark;--ink:#14171b;--dim:#59616c;--line:#c9ced5;--ground:#fff;
--soft:#f3f5f7;--good:#2b6cb0;--bad:#b3261e}
@media screen and (prefers-color-scheme:dark){:root{--ink:#eef0f3;--dim:#a3acb8;--line:#3a414b;
--ground:#15181d;--soft:#20252c;--good:#7db3f0;--bad:#ff8a80}}
body{font:15px/1.45 system-ui,'DejaVu Sans',Arial,sans-serif;color:var(--ink);
background:var(--ground);margin:1.5rem auto;max-width:76rem;padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.15rem;margin:2rem 0 .5rem}
.dim{color:var(--dim)}.bad{color:var(--bad)}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.2rem .6rem .2rem 0;
border-bottom:1px solid var(--line);overflow-wrap:anywhere;min-width:5.5rem}
th{font-weight:600}td.n{white-space:nowrap;min-width:0;font-variant-numeric:tabular-nums}
tr.on{background:var(--soft);outline:2px solid #c4007a}
#commands tr[data-n]{cursor:pointer}
.wide{overflow-x:auto}.wide>svg{max-width:none}
#stage svg{width:100%;height:auto;max-height:75vh}
#bar{display:flex;gap:.6rem;align-items:center}#at{flex:1}
.done{stroke:var(--good)}.failed{stroke:var(--bad)}.axis{stroke:var(--line)}
figure{margin:1rem 0}figcaption{font-weight:600}
@media print{body{max-width:none;margin:0}#bar{display:none}tr,figure{break-inside:avoid}
.wide{overflow:visible}.wide>svg{max-width:100%;height:auto}}
"""

SCRIPT = """
const film=JSON.parse(document.getElementById('film').textContent);
const at=document.getElementById('at'),stage=document.getElementById('stage');
const told=document.getElementById('told');let shown=film.first.slice(),now=0,marked=null;
function go(n){n=Math.max(0,Math.min(film.changes.length,n));
if(n<now){shown=film.first.slice();now=0}
for(;now<n;now++)for(const[s,d,p]of film.changes[now])shown.splice(s,d,...p);
stage.innerHTML=shown.map(i=>film.pieces[i]).join('');at.value=n;
const row=document.querySelector('#commands tr[data-n="'+n+'"]');
if(marked)marked.className='';marked=row;if(row)row.className='on';
told.textContent=row?'After command '+n+' of '+film.changes.length+': '+
row.cells[3].textContent:'Before the first of '+film.changes.length+' commands'}
at.addEventListener('input',()=>go(+at.value));
document.getElementById('back').addEventListener('click',()=>go(now-1));
document.getElementById('on').addEventListener('click',()=>go(now+1));
document.getElementById('commands').addEventListener('click',e=>{
const row=e.target.closest('tr[data-n]');if(row){go(+row.dataset.n);
document.getElementById('bar').scrollIntoView()}});
go(+at.value);
"""


def page(title: str, body: str, film: dict[str, JsonValue] | None) -> str:
    """Write a whole page.

    Args:
        title: What it shows; text.
        body: HTML.
        film: Of the deck, for the slider; None: there is none.
    """
    script = ""
    if film is not None:
        # Nothing in it can end the element that it stands in.
        data = json.dumps(film, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
        script = f'<script type="application/json" id="film">{data}</script>'
        script += f"<script>{SCRIPT}</script>"
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{text(title)}</title><style>{STYLE}</style></head>\n"
        f"<body>{body}{script}</body></html>\n"
    )


def slider(last: int, picture: str) -> str:
    """Write the deck with what moves through it; without a script its last picture is there."""
    return (
        '<h2>Deck</h2><div id="bar"><button id="back" type="button">Back</button>'
        f'<input id="at" type="range" min="0" max="{last}" value="{last}" '
        'aria-label="Command after which the deck is shown">'
        '<button id="on" type="button">On</button></div>'
        f'<p id="told" aria-live="polite">After command {last}</p><div id="stage">{picture}</div>'
    )


def text(said: object) -> str:
    """Write text from anybody so that it is text in an element or in an attribute."""
    return escaped(str(said)).replace(">", "&gt;").replace("'", "&#39;")


def table(title: str, columns: list[str], rows: list[list[str]], *, more: str = "") -> str:
    """Write a table of texts with a heading; nothing where there are no rows."""
    if not rows:
        return ""
    head = "".join(f"<th>{text(one)}</th>" for one in columns)
    lines = "".join(f"<tr>{''.join(f'<td>{text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    below = f'<p class="dim">{text(more)}</p>' if more else ""
    return f"<h2>{text(title)}</h2><table><tr>{head}</tr>{lines}</table>{below}"
