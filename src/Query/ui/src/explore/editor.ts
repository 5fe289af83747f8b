import { element, fill } from '../element'

export interface Editor {
  element: HTMLElement
  text: () => string
  setText: (text: string) => void
  focus: () => void
  destroy: () => void
}

/** A field for PromQL: a plain one at once, so that nobody waits, and in its place the editor that completes as soon as it is loaded. */
export function makeEditor(text: string, run: () => void): Editor {
  const field = element('textarea', {
    class: 'plain-editor',
    rows: 1,
    'aria-label': 'PromQL expression',
    placeholder: 'A PromQL expression; Enter runs it',
    autocapitalize: 'off',
    spellcheck: 'false',
    onkeydown: (e: KeyboardEvent) => {
      if (e.key === 'Enter' && !e.shiftKey && !e.isComposing) {
        e.preventDefault()
        run()
      }
    },
  })
  field.value = text
  const host = element('div', { class: 'editor' }, field)
  let ended = false
  let composing = false
  field.addEventListener('compositionstart', () => (composing = true))
  field.addEventListener('compositionend', () => (composing = false))
  let current: Editor = {
    element: field,
    text: () => field.value,
    setText: (next) => (field.value = next),
    focus: () => field.focus(),
    destroy: () => undefined,
  }

  async function load(): Promise<void> {
    const { promqlEditor } = await import('./promqlEditor')
    if (composing) {
      await new Promise((done) => field.addEventListener('compositionend', done, { once: true }))
    }
    if (ended) {
      return
    }
    const focused = document.activeElement === field
    current = promqlEditor(field.value, focused ? [field.selectionStart, field.selectionEnd] : [0, 0], run)
    fill(host, current.element)
    if (focused) {
      current.focus()
    }
  }

  // After the page has been painted. Should it not come, the plain field stays.
  requestAnimationFrame(() => setTimeout(() => load().catch(() => undefined)))
  return {
    element: host,
    text: () => current.text(),
    setText: (next) => current.setText(next),
    focus: () => current.focus(),
    destroy: () => {
      ended = true
      current.destroy()
    },
  }
}
