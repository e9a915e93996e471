// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/workbench/command_line.h"

#include <QCommandLineParser>
#include <QRegularExpression>

namespace rankscope::workbench
{

Result<CommandLine> CommandLine::parse(const QStringList& arguments)
{
    QCommandLineParser parser;
    parser.setApplicationDescription(QStringLiteral(
        "Rankscope: fine-tune adapters of language models and look inside them while they train."));
    parser.addPositionalArgument(QStringLiteral("RUN_OR_H5"),
                                 QStringLiteral("Run directories or snapshots to open"),
                                 QStringLiteral("[RUN_OR_H5...]"));
    const auto option = [&parser](const char* name, const char* description, const char* value = nullptr) {
        const QCommandLineOption made(QString::fromLatin1(name), QString::fromUtf8(description),
                                      QString::fromLatin1(value));
        parser.addOption(made);
        return made;
    };
    const auto newJob = option("new", "Open the New run page with this job file", "JOB.json");
    const auto launch = option("launch", "Launch this job and show it", "JOB.json");
    const auto runs = option("runs", "Folder for new runs", "DIR");
    const auto socket = option("socket", "Socket of the engine's supervisor", "PATH");
    const auto figure = option("figure", "Show again what an exported figure shows", "FILE");
    const auto figures =
        option("figures", "Export every figure of the given run as PNG, SVG, PDF and CSV, and exit", "DIR");
    const auto screenshot = option("screenshot", "Save a picture of the window as PNG, and exit", "FILE.png");
    const auto view =
        option("view", "View to show: training, effective_rank, routing, mpo, inside, new_run", "NAME");
    const auto style = option("style", "light, dark or system", "STYLE");
    const auto size = option("size", "Size of the window", "WxH");
    const auto step = option("step", "Optimizer step to show", "N");
    const auto help = parser.addHelpOption();
    const auto version = parser.addVersionOption();
    if (!parser.parse(arguments))
        return fail(parser.errorText().toStdString());

    CommandLine line;
    // Asked for before there is an application that could name itself.
    line.helpText = parser.helpText().replace(QLatin1String("<executable_name>"), QLatin1String("rankscope"));
    line.help = parser.isSet(help);
    line.version = parser.isSet(version);
    line.runs = parser.positionalArguments();
    line.newJob = parser.value(newJob);
    line.launchJob = parser.value(launch);
    line.runsFolder = parser.value(runs);
    line.socket = parser.value(socket);
    line.figure = parser.value(figure);
    line.figures = parser.value(figures);
    line.screenshot = parser.value(screenshot);
    line.view = parser.value(view);
    line.style = parser.value(style);
    if (!line.style.isEmpty() && line.style != QLatin1String("light") &&
        line.style != QLatin1String("dark") && line.style != QLatin1String("system"))
        return fail("--style is " + line.style.toStdString() + ", but must be light, dark or system");
    if (parser.isSet(size)) {
        static const QRegularExpression form(QStringLiteral("^(\\d{2,5})x(\\d{2,5})$"));
        const auto match = form.match(parser.value(size));
        if (!match.hasMatch())
            return fail("--size is " + parser.value(size).toStdString() + ", but must be like 1280x720");
        line.size = QSize(match.captured(1).toInt(), match.captured(2).toInt());
    }
    if (parser.isSet(step)) {
        bool valid = false;
        line.step = parser.value(step).toLongLong(&valid);
        if (!valid || *line.step < 0)
            return fail("--step is " + parser.value(step).toStdString() + ", but must be a step, 0 or more");
    }
    if (!line.figures.isEmpty() && line.runs.size() != 1)
        return fail("--figures exports the figures of one run: name one run directory or snapshot");
    return line;
}

} // namespace rankscope::workbench
