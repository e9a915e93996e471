// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/workbench/step_bar.h"

#include "app/workbench/icons.h"

#include <QHBoxLayout>
#include <QLabel>
#include <QSignalBlocker>
#include <QSlider>
#include <QToolButton>

#include <algorithm>
#include <limits>

namespace rankscope::workbench
{

namespace
{
constexpr int playInterval = 50;        ///< ms
constexpr std::int64_t playTicks = 160; ///< a whole run plays in eight seconds
} // namespace

StepBar::StepBar(views::Selection* selection, QWidget* parent)
    : QWidget(parent),
      m_selection(selection),
      m_slider(new QSlider(Qt::Horizontal, this)),
      m_first(new QToolButton(this)),
      m_play(new QToolButton(this)),
      m_last(new QToolButton(this)),
      m_live(new QToolButton(this)),
      m_label(new QLabel(this))
{
    setSizePolicy(QSizePolicy::Preferred, QSizePolicy::Fixed);
    auto* row = new QHBoxLayout(this);
    row->setContentsMargins(8, 4, 8, 4);
    row->setSpacing(4);
    auto* caption = new QLabel(tr("Step"), this);
    caption->setBuddy(m_slider);
    m_slider->setAccessibleName(tr("Step"));
    m_slider->setToolTip(
        tr("The optimizer step every view shows. Dragging leaves live. Left and Right move one step."));
    m_slider->setFocusPolicy(Qt::StrongFocus);
    for (QToolButton* button : {m_first, m_play, m_last, m_live})
        button->setAutoRaise(true);
    m_first->setToolTip(tr("First step"));
    m_play->setToolTip(tr("Play the steps (Space)"));
    m_last->setToolTip(tr("Newest step"));
    m_live->setToolTip(tr("Follow the newest step (L)"));
    m_first->setAccessibleName(tr("First step"));
    m_play->setAccessibleName(tr("Play"));
    m_last->setAccessibleName(tr("Newest step"));
    m_live->setText(tr("live"));
    m_live->setToolButtonStyle(Qt::ToolButtonTextBesideIcon);
    m_live->setCheckable(true);
    m_label->setMinimumWidth(fontMetrics().horizontalAdvance(QStringLiteral("00000 / 00000")));
    m_label->setAlignment(Qt::AlignRight | Qt::AlignVCenter);
    row->addWidget(caption);
    row->addSpacing(4);
    row->addWidget(m_first);
    row->addWidget(m_play);
    row->addWidget(m_slider, 1);
    row->addWidget(m_last);
    row->addWidget(m_label);
    row->addSpacing(8);
    row->addWidget(m_live);
    refreshIcons();

    m_timer.setInterval(playInterval);
    connect(&m_timer, &QTimer::timeout, this, &StepBar::advance);
    connect(m_slider, &QSlider::valueChanged, m_selection, &views::Selection::setStep);
    connect(m_first, &QToolButton::clicked, this, [this] { m_selection->setStep(0); });
    connect(m_last, &QToolButton::clicked, this, [this] { m_selection->setStep(m_newest); });
    connect(m_play, &QToolButton::clicked, this, &StepBar::togglePlay);
    connect(m_live, &QToolButton::clicked, m_selection, &views::Selection::setLive);
    connect(m_selection, &views::Selection::stepChanged, this, &StepBar::showState);
    connect(m_selection, &views::Selection::liveChanged, this, &StepBar::showState);
    showState();
}

void StepBar::refreshIcons()
{
    m_first->setIcon(icon(QStringLiteral("first")));
    m_last->setIcon(icon(QStringLiteral("last")));
    m_live->setIcon(icon(QStringLiteral("live")));
    m_play->setIcon(icon(m_timer.isActive() ? QStringLiteral("pause") : QStringLiteral("play")));
}

void StepBar::setExtent(std::int64_t newest, std::int64_t total)
{
    m_newest = newest;
    m_total = total;
    {
        const QSignalBlocker blocker(m_slider);
        m_slider->setMaximum(
            static_cast<int>(std::min<std::int64_t>(newest, std::numeric_limits<int>::max())));
        m_slider->setPageStep(std::max(1, m_slider->maximum() / 20));
    }
    m_selection->setNewestStep(newest);
    setEnabled(newest > 0);
    showState();
}

void StepBar::showState()
{
    const QSignalBlocker blocker(m_slider);
    m_slider->setValue(static_cast<int>(m_selection->step()));
    m_live->setChecked(m_selection->live());
    m_label->setText(QStringLiteral("%1 / %2").arg(m_selection->step()).arg(std::max(m_total, m_newest)));
}

void StepBar::togglePlay()
{
    if (m_timer.isActive()) {
        m_timer.stop();
    } else if (m_newest > 0) {
        if (m_selection->step() >= m_newest)
            m_selection->setStep(0);
        m_timer.start();
    }
    refreshIcons();
}

void StepBar::advance()
{
    const std::int64_t next = m_selection->step() + std::max<std::int64_t>(1, m_newest / playTicks);
    m_selection->setStep(std::min(next, m_newest));
    if (next >= m_newest)
        togglePlay();
}

void StepBar::stepBy(int direction)
{
    m_selection->setStep(std::clamp<std::int64_t>(m_selection->step() + direction, 0, m_newest));
}

} // namespace rankscope::workbench
