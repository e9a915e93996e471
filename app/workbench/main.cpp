// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/workbench/command_line.h"
#include "app/workbench/job_editor/job_editor.h"
#include "app/workbench/main_window.h"
#include "app/workbench/open_run.h"
#include "app/workbench/style.h"
#include "views/export/figure_export.h"
#include "views/mpo/vtk_widget.h"

#include <QApplication>
#include <QEventLoop>
#include <QTimer>

#include <algorithm>
#include <array>
#include <cstdio>

using namespace rankscope;
using namespace rankscope::workbench;

namespace
{

constexpr int wrongRequest = 2;
constexpr int settleTime = 700; ///< ms: plots, VTK and the plan are drawn after a few turns of the event loop

void tell(const std::string& message)
{
    std::fprintf(stderr, "rankscope: %s\n", message.c_str());
}

/// Waits until the run is read. False if it cannot be.
bool waitFor(const OpenRun* run)
{
    if (run->isLoaded())
        return true;
    QEventLoop loop;
    QString error;
    QObject::connect(run, &OpenRun::loaded, &loop, &QEventLoop::quit);
    QObject::connect(run, &OpenRun::failed, &loop, [&](const QString& message) {
        error = message;
        loop.exit(1);
    });
    const bool loaded = loop.exec() == 0;
    if (!loaded)
        tell(error.toStdString());
    return loaded;
}

void settle()
{
    QEventLoop loop;
    QTimer::singleShot(settleTime, &loop, &QEventLoop::quit);
    loop.exec();
}

int exportFigures(MainWindow& window, const CommandLine& line)
{
    if (!waitFor(window.openRun(line.runs.first())))
        return 1;
    if (line.step)
        window.selection()->setStep(*line.step);
    const auto files = window.exportAll(line.figures);
    if (!files) {
        tell(files.error().message);
        return 1;
    }
    for (const QString& file : *files)
        std::printf("%s\n", file.toLocal8Bit().constData());
    return 0;
}

int takeScreenshot(MainWindow& window, const CommandLine& line)
{
    window.show();
    for (const QString& run : line.runs)
        if (!waitFor(window.openRun(run)))
            return 1;
    if (line.view == QLatin1String("new_run"))
        window.showNewRun();
    else if (!line.view.isEmpty())
        window.showView(line.view);
    if (line.step)
        window.selection()->setStep(*line.step);
    settle();
    if (!window.grab().save(line.screenshot, "PNG")) {
        tell("the screenshot could not be written to " + line.screenshot.toStdString());
        return 1;
    }
    return 0;
}

/// Where Qt finds none, it aborts.
bool hasDisplay()
{
    return std::ranges::any_of(std::array{"QT_QPA_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY"},
                               [](const char* name) { return !qEnvironmentVariableIsEmpty(name); });
}

} // namespace

int main(int argc, char** argv)
{
    QStringList arguments;
    for (int i = 0; i < argc; ++i)
        arguments << QString::fromLocal8Bit(argv[i]);
    const auto line = CommandLine::parse(arguments);
    if (!line) {
        tell(line.error().message);
        return wrongRequest;
    }
    if (line->help || line->version) {
        std::fputs(line->help ? line->helpText.toLocal8Bit().constData()
                              : "rankscope " RANKSCOPE_VERSION "\n",
                   stdout);
        return 0;
    }
    if (!line->figures.isEmpty())
        qputenv("QT_QPA_PLATFORM", "offscreen"); // no window, hence no display either
    if (!hasDisplay()) {
        tell("there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set); rankscope-engine does the "
             "work without one, and rankscope --figures draws without one");
        return 1;
    }
    views::VtkWidget::setDefaultSurfaceFormat();
    int programOnly = 1; // Qt would take --style and others for its own
    QApplication application(programOnly, argv);
    QApplication::setApplicationName(QStringLiteral("rankscope"));
    QApplication::setOrganizationName(QStringLiteral("Rankscope"));
    QApplication::setApplicationVersion(QStringLiteral(RANKSCOPE_VERSION));
    QApplication::setDesktopFileName(QStringLiteral("rankscope"));
    rememberSystemStyle();
    applyStyle(styleFromName(line->style));

    const bool scripted = !line->figures.isEmpty() || !line->screenshot.isEmpty();
    MainWindow window({line->runsFolder, line->socket, !scripted, !scripted});
    if (!line->style.isEmpty())
        window.setStyleChoice(styleFromName(line->style));
    if (line->size)
        window.resize(*line->size);
    if (!line->view.isEmpty() && line->view != QLatin1String("new_run") &&
        window.view(line->view) == nullptr) {
        tell("there is no view " + line->view.toStdString() +
             "; there are training, effective_rank, routing, mpo, inside and new_run");
        return wrongRequest;
    }
    if (!line->newJob.isEmpty())
        window.jobEditor()->openJob(line->newJob);
    if (!line->figures.isEmpty())
        return exportFigures(window, *line);
    if (!line->screenshot.isEmpty())
        return takeScreenshot(window, *line);

    window.show();
    for (const QString& run : line->runs)
        window.open(run);
    if (const OpenRun* run = window.currentRun(); run != nullptr && line->step)
        QObject::connect(
            run, &OpenRun::loaded, &window, [&window, &line] { window.selection()->setStep(*line->step); },
            Qt::SingleShotConnection);
    if (!line->view.isEmpty() && line->view != QLatin1String("new_run"))
        window.showView(line->view);
    if (!line->newJob.isEmpty() || line->view == QLatin1String("new_run"))
        window.showNewRun();
    if (!line->launchJob.isEmpty())
        window.launch(line->launchJob);
    if (!line->figure.isEmpty()) {
        const auto description = views::readFigureDescription(line->figure);
        const Status shown = description ? window.showDescribed(*description)
                                         : Status(tl::unexpected<Error>(description.error()));
        if (!shown) {
            tell(shown.error().message);
            return wrongRequest;
        }
    }
    return QApplication::exec();
}
