// SPDX-License-Identifier: GPL-3.0-or-later
// What every view is: a widget that shows one run through the shared selection, and can give each of its
// panels as a figure and as numbers.
#pragma once

#include "core/record/run_record.h"
#include "views/export/figure.h"
#include "views/selection/selection.h"

#include <QJsonArray>
#include <QJsonObject>
#include <QWidget>

#include <optional>
#include <vector>

class QMenu;
class QStackedLayout;

namespace rankscope::views
{

class EmptyState;
class CurveChart;
class HeatMapWidget;

class View : public QWidget
{
    Q_OBJECT

public:
    View(Selection* selection, QWidget* parent);

    /// "effective_rank": in file names, settings and on the command line.
    [[nodiscard]] virtual QString key() const = 0;
    [[nodiscard]] virtual QString title() const = 0;
    [[nodiscard]] virtual QString iconName() const { return key(); }
    /// Whether the run has what this view shows.
    [[nodiscard]] virtual bool hasData() const = 0;
    /// Definition and source of the measure shown.
    [[nodiscard]] virtual QString definition() const = 0;
    /// Each panel at the present step and selection.
    [[nodiscard]] virtual std::vector<Figure> figures() const = 0;
    /// The view's own controls, to be saved with a figure or a session.
    [[nodiscard]] virtual QJsonObject controls() const { return {}; }
    virtual void setControls(const QJsonObject& /*controls*/) {}
    /// Undoes zooms.
    virtual void fit() {}
    /// The part of the x axis that each zoomed chart shows, by its figure's key.
    [[nodiscard]] QJsonObject zooms() const;
    void setZooms(const QJsonObject& zooms);
    /// How the user has divided the view between its panels.
    [[nodiscard]] QJsonArray splits() const;
    void setSplits(const QJsonArray& splits);

    /// Shows another run; nullptr for none. The record must outlive the view or be replaced first.
    void setRun(const record::RunRecord* run);
    [[nodiscard]] const record::RunRecord* run() const { return m_run; }
    /// The run has new rows: append them. `rewound`: rows that were there have been superseded, make
    /// everything anew.
    void recordGrew(bool rewound = false);

    /// Whether the user sees the view. Behind the tab of another it still counts as visible to Qt, which only
    /// moves it off the screen: its dock says so.
    [[nodiscard]] bool isShown() const { return isVisible() && m_inFront; }
    void setInFront(bool inFront);

    /// What the run is doing or why it ended, said where there is nothing to draw yet. `over`: it does
    /// nothing more.
    void setNotice(const QString& text, bool over);

    /// Key of the panel the user last touched; the first one's if none.
    [[nodiscard]] QString currentFigure() const;
    void setCurrentFigure(const QString& key) { m_current = key; }

Q_SIGNALS:
    void newRunRequested();
    void openRequested();
    void definitionChanged();
    void exportRequested(const QString& figure);
    void copyFigureRequested(const QString& figure);
    void copyDataRequested(const QString& figure);

protected:
    /// The view's widgets; called once by the constructor of each view.
    void setContent(QWidget* content);
    void setEmptyText(const QString& title, const QString& text);
    /// A panel: right-click gives its figure and data, it becomes the current one when touched, and clicks on
    /// cells, curves and bars select the places that they stand for.
    void addPanel(QWidget* panel, const QString& key);
    /// Where charts over steps mark the present one: nowhere while the view follows a live run.
    [[nodiscard]] std::optional<double> stepMarker() const;

    /// The run was replaced, or has measures it had not: make everything anew.
    virtual void rebuild() = 0;
    /// New rows were appended to measures that are known.
    virtual void append() = 0;
    virtual void selectionChanged() = 0;
    virtual void stepChanged() = 0;

    void showEvent(QShowEvent* event) override;
    bool eventFilter(QObject* watched, QEvent* event) override;

    Selection* const m_selection;

private:
    [[nodiscard]] std::size_t structure() const;
    void limitSelection();
    void showContentOrEmpty();
    void catchUp();
    void connectClicks(QWidget* panel);
    /// What a click on the thing under the cursor does, and Ctrl and a click, by name.
    void addSelecting(QMenu& menu, const SelectionState& pointed);
    void panelMenu(QWidget* panel, const QPoint& place);

    const record::RunRecord* m_run = nullptr;
    std::size_t m_structure = 0;
    QStackedLayout* m_stack;
    EmptyState* m_empty;
    QString m_emptyTitle;
    QString m_emptyText;
    QString m_notice;
    bool m_over = false;
    QString m_current;
    bool m_inFront = true;
    bool m_clickChanged = false; ///< the last click on a curve changed the selection
    bool m_stale = false;        ///< something came while the view was hidden
    bool m_staleAll = false;
};

} // namespace rankscope::views
