"""A speaker's sheet as one HTML file to print, or to read from the screen.

It loads nothing and runs no script. Knows the recording format that the collection asks for, but
not how recordings are checked.
"""

from html import escape

from realsqa.sheets import Line

_STYLE = """
@page { size: A4; margin: 16mm 14mm;
        @bottom-right { content: counter(page) " / " counter(pages); } }
body { font: 12pt/1.4 Georgia, "Times New Roman", serif; color: #000; background: #fff;
       max-width: 182mm; margin: 8mm auto; padding: 0 4mm; }
h1 { font-size: 18pt; margin: 0 0 4mm; }
ol, p { margin: 0 0 4mm; }
li { margin-bottom: 1.2mm; }
code { font-family: Menlo, Consolas, monospace; font-size: 90%; }
table { border-collapse: collapse; width: 100%; }
thead { display: table-header-group; }
th { text-align: left; font-weight: normal; font-size: 10pt; border-bottom: 0.6pt solid #000; }
td, th { padding: 1.6mm 3mm 1.6mm 0; vertical-align: baseline; }
td { border-bottom: 0.3pt solid #999; }
tr { break-inside: avoid; }
td.number { text-align: right; width: 9mm; }
td.file { white-space: nowrap; width: 1%; }
td.prompt { font-size: 14pt; }
td.done { width: 1%; }
input { width: 4.5mm; height: 4.5mm; margin: 0; }
@media print { body { max-width: none; margin: 0; padding: 0; } h2 { break-after: avoid; } }
"""
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{speaker}: {prompts} prompts</title>
<style>{style}@page {{ @bottom-left {{ content: "{speaker}"; }} }}</style>
</head>
<body>
<h1>{speaker}: {prompts} prompts to read aloud</h1>
<ol>
<li>Ask each prompt as you would ask a person: your own pace, your own accent, no acting. Say what
is written, word for word. Read it once silently before you record it.</li>
<li>A file for each prompt: WAV or FLAC, one channel, 16 bit, 16,000 samples a second or more
(44,100 or 48,000 are fine). No telephone line, no MP3, no effects, no noise suppression.</li>
<li>A quiet room, a hand's breadth from the microphone. Record one prompt, listen to it, and turn
the level down if the loudest word reaches the end of the scale.</li>
<li>Half a second of silence before you speak and behind; nothing else in the file.</li>
<li>The file has the name that stands beside the prompt, and all files are in one folder named
<code>{speaker}</code>: <code>{speaker}/{example}</code>.</li>
<li>After a slip of the tongue record the prompt again, and keep only the good file. A prompt that
you do not want to say you leave out.</li>
<li>Tick the box when the file is saved.</li>
</ol>
<table>
<thead><tr><th></th><th>file</th><th>prompt</th><th>done</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
</body>
</html>
"""
_ROW = (
    '<tr><td class="number">{number}</td><td class="file"><code>{file}</code></td>'
    '<td class="prompt">{prompt}</td>'
    '<td class="done"><input type="checkbox" aria-label="{file} is saved"></td></tr>'
)


def sheet_html(speaker: str, lines: list[Line]) -> str:
    """The page.

    Args:
        speaker: Whose sheet it is, and the folder of the recordings.
        lines: The prompts, in the order of the sheet.
    """
    rows = [
        _ROW.format(number=number, file=f"{escape(line.id)}.wav", prompt=escape(line.prompt.text))
        for number, line in enumerate(lines, start=1)
    ]
    return _PAGE.format(
        speaker=escape(speaker),
        prompts=len(lines),
        style=_STYLE,
        example=f"{escape(lines[0].id)}.wav",
        rows="\n".join(rows),
    )
