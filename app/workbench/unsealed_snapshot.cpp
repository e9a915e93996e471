// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/workbench/unsealed_snapshot.h"

#include "core/base/paths.h"
#include "core/record/snapshot.h"

#include <QFile>
#include <QProcess>
#include <QTemporaryDir>

namespace rankscope::workbench
{

Result<record::RunRecord> readUnsealedSnapshot(const std::filesystem::path& path,
                                               const QString& engineProgram)
{
    const auto cannot = [&path](const std::string& why) {
        return fail("cannot read the snapshot " + path.string() + ": " + why);
    };
    std::filesystem::path program = engineProgram.toStdString();
    if (program.empty()) {
        RANKSCOPE_TRY(program, base::siblingProgram("rankscope-engine"));
    }
    const QTemporaryDir folder;
    if (!folder.isValid())
        return cannot("there is no room for a checked copy: " + folder.errorString().toStdString());
    const QString copy = folder.filePath(QStringLiteral("run.h5"));
    QProcess engine;
    engine.start(
        QString::fromStdString(program.string()),
        {QStringLiteral("snapshot"), QString::fromStdString(path.string()), QStringLiteral("-o"), copy});
    // The engine itself ends a reading that comes to no end.
    if (!engine.waitForFinished(-1))
        return cannot(program.string() + " did not start: " + engine.errorString().toStdString());
    if (engine.exitStatus() == QProcess::NormalExit && engine.exitCode() == 0)
        return record::readSnapshot(copy.toStdString());
    const QByteArray said = engine.readAllStandardError().trimmed();
    const qsizetype prefix = said.indexOf(": ");
    return said.isEmpty() ? cannot("rankscope-engine ended without a word")
                          : fail(said.mid(prefix < 0 ? 0 : prefix + 2).toStdString());
}

} // namespace rankscope::workbench
