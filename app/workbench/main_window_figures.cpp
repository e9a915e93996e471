// SPDX-License-Identifier: GPL-3.0-or-later
// Figures: described, shown again, exported and copied.
#include "app/workbench/main_window.h"
#include "app/workbench/open_run.h"
#include "app/workbench/save_dialog.h"
#include "core/base/files.h"
#include "views/base/view.h"

#include <QAction>
#include <QActionGroup>
#include <QApplication>
#include <QClipboard>
#include <QDir>
#include <QFileInfo>
#include <QJsonArray>

#include <optional>

namespace rankscope::workbench
{
namespace
{

/// The figure of that key in a view; its current one if the key is empty.
std::optional<views::Figure> figureOf(const views::View* view, const QString& key)
{
    if (view == nullptr)
        return std::nullopt;
    const QString wanted = key.isEmpty() ? view->currentFigure() : key;
    for (const views::Figure& candidate : view->figures())
        if (candidate.key == wanted)
            return candidate;
    return std::nullopt;
}

} // namespace

QJsonObject MainWindow::selected() const
{
    QJsonArray layers;
    for (const int layer : m_selection->layers())
        layers.append(layer);
    QJsonArray experts;
    for (const int expert : m_selection->experts())
        experts.append(expert);
    QJsonObject object{{QStringLiteral("layers"), layers},
                       {QStringLiteral("experts"), experts},
                       {QStringLiteral("modules"), QJsonArray::fromStringList(m_selection->modules())},
                       {QStringLiteral("tasks"), QJsonArray::fromStringList(m_selection->tasks())}};
    if (!m_selection->live())
        object.insert(QStringLiteral("step"), static_cast<qint64>(m_selection->step()));
    return object;
}

void MainWindow::select(const QJsonObject& selected)
{
    views::SelectionState state;
    for (const QJsonValue layer : selected.value(QStringLiteral("layers")).toArray())
        state.layers.insert(layer.toInt());
    for (const QJsonValue expert : selected.value(QStringLiteral("experts")).toArray())
        state.experts.insert(expert.toInt());
    for (const QJsonValue module : selected.value(QStringLiteral("modules")).toArray())
        state.modules << module.toString();
    for (const QJsonValue task : selected.value(QStringLiteral("tasks")).toArray())
        state.tasks << task.toString();
    m_selection->setState(state);
    if (const QJsonValue step = selected.value(QStringLiteral("step")); step.isDouble())
        m_selection->setStep(step.toInteger());
}

QJsonObject MainWindow::describe(const views::View* view) const
{
    QJsonObject description = selected();
    description.insert(QStringLiteral("program"), QStringLiteral("Rankscope " RANKSCOPE_VERSION));
    description.insert(QStringLiteral("run"), m_current == nullptr ? QString() : m_current->path());
    description.insert(QStringLiteral("view"), view->key());
    description.insert(QStringLiteral("step"), static_cast<qint64>(m_selection->step()));
    description.insert(QStringLiteral("controls"), view->controls());
    description.insert(QStringLiteral("zooms"), view->zooms());
    return description;
}

Status MainWindow::showDescribed(const QJsonObject& description)
{
    const QString key = description.value(QStringLiteral("view")).toString();
    views::View* shown = view(key);
    if (shown == nullptr)
        return fail("the figure's view \"" + key.toStdString() + "\" is not one of this program's views");
    // A run named beside the figure is the figure's where it is now.
    const QString path = description.value(QStringLiteral("run")).toString();
    if (m_current == nullptr && !QFileInfo::exists(path))
        return fail("the figure's run " + path.toStdString() +
                    " does not exist any more: name the run where it is now beside --figure");
    OpenRun* run = QFileInfo::exists(path) ? openRun(path) : m_current;
    const auto apply = [this, run, shown, description, key] {
        if (run != m_current)
            return; // another one has been opened since
        showView(key);
        select(description);
        shown->setControls(description.value(QStringLiteral("controls")).toObject());
        shown->setZooms(description.value(QStringLiteral("zooms")).toObject());
        shown->setCurrentFigure(description.value(QStringLiteral("figure")).toString());
        setExport({description.value(QStringLiteral("preset")).toString(m_export.preset),
                   description.value(QStringLiteral("transparent")).toBool(m_export.transparent)});
    };
    if (run->isLoaded())
        apply();
    else
        connect(run, &OpenRun::loaded, this, apply, Qt::SingleShotConnection);
    return {};
}

void MainWindow::setExport(const views::ExportOptions& options)
{
    m_export = options;
    for (QAction* preset : m_presets->actions())
        preset->setChecked(preset->data().toString() == m_export.preset);
    m_transparent->setChecked(m_export.transparent);
}

Status MainWindow::exportTo(views::View* view, const QString& figure, const QString& file)
{
    if (const auto chosen = figureOf(view, figure))
        return views::exportFigure(*chosen, describe(view), file, m_export);
    return fail(view->title().toStdString() + " has no figure yet: there is nothing recorded that it shows");
}

Result<QStringList> MainWindow::exportAll(const QString& folder)
{
    RANKSCOPE_CHECK(base::ensureWritableFolder(folder.toStdString()));
    QStringList files;
    for (views::View* view : m_views)
        for (const views::Figure& figure : view->figures())
            for (const char* ending : {"png", "svg", "pdf", "csv"}) {
                const QString file = QDir(folder).filePath(
                    QStringLiteral("%1-%2.%3").arg(view->key(), figure.key, QString::fromLatin1(ending)));
                RANKSCOPE_CHECK(views::exportFigure(figure, describe(view), file, m_export));
                files << file;
            }
    return files;
}

void MainWindow::sayNothingShown(const views::View* view)
{
    say(view == nullptr || m_current == nullptr
            ? tr("There is no figure yet: open a run first")
            : tr("%1 shows nothing here of which a figure could be made").arg(view->title()));
}

void MainWindow::exportDialog(views::View* view, const QString& key)
{
    const auto chosen = figureOf(view, key);
    if (!chosen) {
        sayNothingShown(view);
        return;
    }
    const QString file =
        askWhereToSave(this, tr("Export figure"), QStringLiteral("%1-%2").arg(view->key(), chosen->key),
                       tr("PDF (*.pdf);;SVG (*.svg);;PNG (*.png);;Numbers as CSV (*.csv)"));
    if (file.isEmpty())
        return;
    const Status status = exportTo(view, chosen->key, file);
    if (status)
        say(tr("Exported %1").arg(file));
    else
        complain(QString::fromStdString(status.error().message));
}

void MainWindow::copyFigure(const views::View* view, const QString& key)
{
    if (const auto chosen = figureOf(view, key)) {
        QApplication::clipboard()->setImage(views::figureImage(*chosen, m_export));
        say(tr("Copied: %1").arg(chosen->title));
    } else {
        sayNothingShown(view);
    }
}

void MainWindow::copyData(const views::View* view, const QString& key)
{
    if (const auto chosen = figureOf(view, key)) {
        QApplication::clipboard()->setText(chosen->table().toTabs());
        say(tr("Copied the numbers of: %1").arg(chosen->title));
    } else {
        sayNothingShown(view);
    }
}

} // namespace rankscope::workbench
