import io

from promisam.cli.progress import progress_bars


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_is_drawn_on_a_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    with progress_bars() as bars:
        report = bars("checking")
        report(1, 4)
        report(4, 4)
    assert "checking" in screen.getvalue()


def test_nothing_is_drawn_into_a_file(capsys):
    with progress_bars() as bars:
        bars("checking")(1, 4)
    assert capsys.readouterr() == ("", "")
