import { acceptCompletion, autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap, completionStatus } from '@codemirror/autocomplete'
import { defaultKeymap, history, historyKeymap, insertNewlineAndIndent } from '@codemirror/commands'
import { bracketMatching, HighlightStyle, indentOnInput, syntaxHighlighting } from '@codemirror/language'
import { type Diagnostic, linter } from '@codemirror/lint'
import { EditorState, Prec } from '@codemirror/state'
import { drawSelection, EditorView, highlightSpecialChars, keymap, placeholder } from '@codemirror/view'
import { tags } from '@lezer/highlight'
import { PromQLExtension } from '@prometheus-io/codemirror-promql'
import { ApiError, ask } from '../api'
import { element } from '../element'
import { completion } from './completion'
import type { Editor } from './editor'

/** Colours are the page's variables, so that one style serves light and dark. */
const highlight = HighlightStyle.define([
  { tag: [tags.variableName], color: 'var(--ink)' },
  { tag: [tags.labelName], color: 'var(--code-label)' },
  { tag: [tags.string], color: 'var(--code-string)' },
  { tag: [tags.number, tags.literal], color: 'var(--code-number)' },
  { tag: [tags.keyword, tags.operatorKeyword, tags.modifier], color: 'var(--code-keyword)' },
  { tag: [tags.function(tags.variableName), tags.standard(tags.variableName)], color: 'var(--code-function)' },
  { tag: tags.comment, color: 'var(--ink-soft)', fontStyle: 'italic' },
  { tag: tags.invalid, color: 'var(--bad)' },
])

const look = EditorView.theme({
  '&': { fontSize: '14px', backgroundColor: 'var(--field)', color: 'var(--ink)', border: '1px solid var(--line-strong)', borderRadius: '6px' },
  '&.cm-focused': { outline: '2px solid var(--accent)', outlineOffset: '-1px' },
  '.cm-content': { fontFamily: 'var(--mono)', padding: '8px 2px', caretColor: 'var(--ink)', minHeight: '22px' },
  '.cm-scroller': { lineHeight: '1.5', maxHeight: '40vh' },
  '.cm-cursor': { borderLeftColor: 'var(--ink)' },
  '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground': { backgroundColor: 'var(--selection)' },
  '.cm-placeholder': { color: 'var(--ink-soft)' },
  '.cm-matchingBracket, &.cm-focused .cm-matchingBracket': { backgroundColor: 'var(--selection)', outline: 'none' },
  '.cm-tooltip': { backgroundColor: 'var(--card)', color: 'var(--ink)', border: '1px solid var(--line-strong)', borderRadius: '6px', boxShadow: '0 4px 16px rgb(0 0 0 / .2)', maxWidth: 'min(90vw, 640px)' },
  '.cm-tooltip-below.cm-tooltip-autocomplete': { marginTop: '4px' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul': { fontFamily: 'var(--mono)', maxHeight: '300px' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul > li': { padding: '3px 8px', overflow: 'hidden', textOverflow: 'ellipsis' },
  '.cm-tooltip-autocomplete ul li[aria-selected]': { backgroundColor: 'var(--accent)', color: 'var(--on-accent)' },
  '.cm-tooltip-autocomplete ul li[aria-selected] .cm-completionDetail': { color: 'var(--on-accent)' },
  '.cm-completionDetail': { color: 'var(--ink-soft)', fontStyle: 'normal', marginLeft: '1em' },
  '.cm-completionMatchedText': { textDecoration: 'none', fontWeight: 'bold' },
  '.cm-completionIcon': { display: 'none' },
  '.cm-completionInfo': { padding: '8px', whiteSpace: 'normal', overflowWrap: 'anywhere' },
  // Where there is no room beside the list, below it: never upon it.
  '.cm-completionInfo.cm-completionInfo-right-narrow, .cm-completionInfo.cm-completionInfo-left-narrow': { top: '100% !important', bottom: 'auto !important', left: '0', right: '0' },
  '.cm-diagnostic': { padding: '6px 10px', overflowWrap: 'anywhere' },
  '.cm-diagnostic-error': { borderLeft: '4px solid var(--bad)' },
})

/** A query's faults in the server's own words. */
async function faults(view: EditorView): Promise<Diagnostic[]> {
  const text = view.state.doc.toString()
  if (text.trim() === '') {
    return []
  }
  try {
    await ask('parse_query', { query: text }, { post: true })
    return []
  } catch (e) {
    if (!(e instanceof ApiError) || e.type !== 'bad_data') {
      return []
    }
    const place = /(\d+):(\d+): parse error: ([\s\S]*)$/.exec(e.message)
    if (place === null) {
      return [{ from: 0, to: text.length, severity: 'error', message: e.message }]
    }
    const line = view.state.doc.line(Math.min(Number(place[1]), view.state.doc.lines))
    const from = Math.min(line.from + Math.max(0, Number(place[2]) - 1), line.to)
    const word = view.state.wordAt(from)
    return [{ from: word?.from ?? Math.max(0, Math.min(from, text.length - 1)), to: word?.to ?? Math.min(from + 1, text.length), severity: 'error', message: place[3] }]
  }
}

/**
 * A PromQL editor in a shadow root of its own: there its style sheets can be adopted, which the page's content policy allows.
 * @param selection where the caret stands, from and to
 */
export function promqlEditor(text: string, selection: [number, number], run: () => void): Editor {
  const host = element('div')
  const shadow = host.attachShadow({ mode: 'open' })
  const promql = new PromQLExtension().setComplete({ remote: completion, maxMetricsMetadata: 10_000 }).activateLinter(false)
  const view = new EditorView({
    root: shadow,
    parent: shadow,
    state: EditorState.create({
      doc: text,
      selection: { anchor: selection[0], head: selection[1] },
      extensions: [
        highlightSpecialChars(),
        history(),
        drawSelection(),
        indentOnInput(),
        bracketMatching(),
        closeBrackets(),
        autocompletion({ maxRenderedOptions: 200 }),
        syntaxHighlighting(highlight),
        promql.asExtension(),
        linter(faults, { delay: 500 }),
        placeholder('A PromQL expression; Enter runs it'),
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ 'aria-label': 'PromQL expression', 'aria-multiline': 'true', autocapitalize: 'off' }),
        look,
        // Escape first closes the list, and Tab moves on: nobody is caught in here.
        Prec.high(
          keymap.of([
            {
              key: 'Enter',
              run: (v) => {
                // A list that has only just come up is not what Enter was meant for.
                if (completionStatus(v.state) !== 'active' || !acceptCompletion(v)) {
                  run()
                }
                return true
              },
            },
            { key: 'Mod-Enter', run: () => (run(), true) },
            { key: 'Shift-Enter', run: insertNewlineAndIndent },
          ]),
        ),
        keymap.of([...closeBracketsKeymap, ...completionKeymap, ...defaultKeymap, ...historyKeymap]),
      ],
    }),
  })
  return {
    element: host,
    text: () => view.state.doc.toString(),
    setText: (next) => {
      if (next !== view.state.doc.toString()) {
        view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: next }, selection: { anchor: next.length } })
      }
    },
    focus: () => view.focus(),
    destroy: () => {
      view.destroy()
      promql.destroy()
    },
  }
}
