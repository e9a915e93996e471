// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/workbench/command_palette.h"

#include "app/workbench/icons.h"
#include "app/workbench/style.h"

#include <QAction>
#include <QKeyEvent>
#include <QLineEdit>
#include <QListWidget>
#include <QVBoxLayout>

#include <algorithm>

namespace rankscope::workbench
{

namespace
{

constexpr int iconSize = 16;

QString plainText(const QAction* action)
{
    QString text = action->text();
    return text.remove(QLatin1Char('&')).remove(QChar(0x2026));
}

/// All words of `typed` occur in `text`, in any order.
bool matches(const QString& text, const QString& typed)
{
    const QStringList words = typed.split(QLatin1Char(' '), Qt::SkipEmptyParts);
    return std::all_of(words.begin(), words.end(),
                       [&text](const QString& word) { return text.contains(word, Qt::CaseInsensitive); });
}

} // namespace

CommandPalette::CommandPalette(QWidget* window)
    : QFrame(window),
      m_field(new QLineEdit(this)),
      m_list(new QListWidget(this))
{
    setFrameShape(QFrame::StyledPanel);
    setAutoFillBackground(true);
    setAccessibleName(tr("Command palette"));
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(8, 8, 8, 8);
    column->setSpacing(8);
    m_field->setPlaceholderText(tr("Type a command, a view or a run"));
    m_field->setAccessibleName(tr("Command"));
    m_list->setAccessibleName(tr("Commands"));
    m_list->setFrameShape(QFrame::NoFrame);
    m_list->setFocusPolicy(Qt::NoFocus);
    m_list->setUniformItemSizes(true);
    m_list->setIconSize(QSize(iconSize, iconSize));
    column->addWidget(m_field);
    column->addWidget(m_list);
    m_field->installEventFilter(this);
    connect(m_field, &QLineEdit::textChanged, this, &CommandPalette::match);
    connect(m_field, &QLineEdit::returnPressed, this, &CommandPalette::runCurrent);
    connect(m_list, &QListWidget::itemClicked, this, &CommandPalette::runCurrent);
    hide();
}

void CommandPalette::open(const QList<QAction*>& actions, const std::vector<RunRow>& runs)
{
    m_actions = actions;
    m_runs = runs;
    const QWidget* window = parentWidget();
    const int width = std::min(560, window->width() - 40);
    setGeometry((window->width() - width) / 2, 56, width, std::min(380, window->height() - 120));
    m_list->setPalette(tintedSelection());
    m_field->clear();
    match({});
    show();
    raise();
    m_field->setFocus(Qt::ShortcutFocusReason);
}

void CommandPalette::match(const QString& text)
{
    m_list->clear();
    QPixmap gap(iconSize, iconSize); // names stand below each other, with an icon or without
    gap.fill(Qt::transparent);
    for (QAction* action : m_actions) {
        const QString name = plainText(action);
        if (!action->isEnabled() || name.isEmpty() || !matches(name, text))
            continue;
        const QString keys = action->shortcut().toString(QKeySequence::NativeText);
        auto* item = new QListWidgetItem(action->icon().isNull() ? QIcon(gap) : action->icon(),
                                         keys.isEmpty() ? name : name + QStringLiteral("   ") + keys, m_list);
        item->setData(Qt::UserRole, QVariant::fromValue(action));
        item->setToolTip(action->toolTip());
    }
    for (const RunRow& run : m_runs) {
        const QString name = tr("Show %1   %2").arg(run.name, stateText(run));
        if (!matches(name, text))
            continue;
        auto* item = new QListWidgetItem(icon(QStringLiteral("run")), name, m_list);
        item->setData(Qt::UserRole, run.path);
        item->setToolTip(run.path);
    }
    if (m_list->count() == 0)
        new QListWidgetItem(tr("No command, view or run matches"), m_list);
    m_list->setCurrentRow(0);
}

void CommandPalette::runCurrent()
{
    const QListWidgetItem* item = m_list->currentItem();
    if (item == nullptr)
        return;
    const QVariant chosen = item->data(Qt::UserRole);
    if (!chosen.isValid())
        return; // nothing matches
    hide();
    parentWidget()->setFocus();
    if (auto* action = chosen.value<QAction*>(); action != nullptr)
        action->trigger();
    else
        Q_EMIT runChosen(chosen.toString());
}

bool CommandPalette::eventFilter(QObject* watched, QEvent* event)
{
    // Escape closes the palette before it is the window's.
    if (watched == m_field && event->type() == QEvent::ShortcutOverride &&
        static_cast<QKeyEvent*>(event)->key() == Qt::Key_Escape) {
        event->accept();
        return true;
    }
    if (watched == m_field && event->type() == QEvent::KeyPress) {
        const auto* key = static_cast<QKeyEvent*>(event);
        if (key->key() == Qt::Key_Escape) {
            hide();
            return true;
        }
        if (key->key() == Qt::Key_Down || key->key() == Qt::Key_Up) {
            const int next = m_list->currentRow() + (key->key() == Qt::Key_Down ? 1 : -1);
            m_list->setCurrentRow(std::clamp(next, 0, m_list->count() - 1));
            return true;
        }
    }
    if (watched == m_field && event->type() == QEvent::FocusOut)
        hide();
    return QFrame::eventFilter(watched, event);
}

} // namespace rankscope::workbench
